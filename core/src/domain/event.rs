//! What happened to a job, and how it is told.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{JobId, JobState, LaneName, TenantName, UnknownSpelling, format_timestamp};

/// The largest result that an event carries itself, in bytes of JSON. A larger
/// one is told by `result_url`.
pub const INLINE_RESULT_LIMIT: usize = 64 * 1024;

/// What an event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The job became due later.
    Scheduled,
    /// The job became claimable.
    Queued,
    /// A worker took it.
    Running,
    /// It finished well.
    Completed,
    /// It failed for good.
    Failed,
    /// It was stopped by request.
    Cancelled,
    /// Its description changed while it waited.
    Updated,
    /// Its end was asked for while it ran.
    CancelRequested,
    /// Its attempt was interrupted without a fault of the job; it waits again.
    Released,
    /// A dead letter was given another chance.
    Redriven,
    /// It was removed from the ledger.
    Deleted,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Updated,
        Self::CancelRequested,
        Self::Released,
        Self::Redriven,
        Self::Deleted,
    ];

    /// The one spelling, in SQL, JSON and subjects.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Updated => "updated",
            Self::CancelRequested => "cancel_requested",
            Self::Released => "released",
            Self::Redriven => "redriven",
            Self::Deleted => "deleted",
        }
    }

    /// Whether nothing more is expected of the job: a final state or its removal.
    #[must_use]
    pub const fn is_last(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Deleted)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EventKind {
    type Err = UnknownSpelling;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownSpelling(text.to_owned()))
    }
}

/// A change of a job, as the ledger recorded it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The job.
    pub job_id: JobId,
    /// Its place among the job's events: 1, 2, 3, … without gaps.
    pub seq: i32,
    /// What happened.
    pub kind: EventKind,
    /// Where the job stood afterwards.
    pub state: JobState,
    /// The attempt that was current, 0 before the first.
    pub attempt: i32,
    /// When, by the ledger's clock.
    pub timestamp: DateTime<Utc>,
    /// The job's lane.
    pub lane: LaneName,
    /// Whose job it is; not part of the JSON.
    pub tenant: TenantName,
    /// The ledger transaction, never smaller than that of the job's event
    /// before; not part of the JSON.
    pub xid: i64,
    /// What this kind tells besides: `name`, `worker`, `result`, …
    pub details: Map<String, Value>,
}

impl Event {
    /// The event as it is told: its JSON, with what a reader needs to route it.
    ///
    /// `committed_at` and `published_at` are null for an event read back from
    /// the ledger, since nobody knows them any more.
    #[must_use]
    pub fn announce(
        &self,
        committed_at: Option<DateTime<Utc>>,
        published_at: Option<DateTime<Utc>>,
    ) -> Announcement {
        let mut body = Map::with_capacity(self.details.len() + 9);
        body.insert("job_id".into(), json!(self.job_id));
        body.insert("seq".into(), json!(self.seq));
        body.insert("kind".into(), json!(self.kind));
        body.insert("state".into(), json!(self.state));
        body.insert("attempt".into(), json!(self.attempt));
        body.insert("timestamp".into(), json!(format_timestamp(self.timestamp)));
        body.insert("lane".into(), json!(self.lane));
        for (name, value) in &self.details {
            body.insert(name.clone(), value.clone());
        }
        body.insert("committed_at".into(), json!(committed_at.map(format_timestamp)));
        body.insert("published_at".into(), json!(published_at.map(format_timestamp)));

        Announcement {
            job_id: self.job_id,
            seq: self.seq,
            kind: self.kind,
            state: self.state,
            lane: self.lane.clone(),
            tenant: self.tenant.clone(),
            xid: self.xid,
            json: Value::Object(body).to_string(),
        }
    }
}

/// An event in the form in which it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The job.
    pub job_id: JobId,
    /// Its place among the job's events.
    pub seq: i32,
    /// What happened.
    pub kind: EventKind,
    /// Where the job stood afterwards.
    pub state: JobState,
    /// The job's lane.
    pub lane: LaneName,
    /// Whose job it is.
    pub tenant: TenantName,
    /// The ledger transaction.
    pub xid: i64,
    /// The event's JSON object, on one line.
    pub json: String,
}

/// The fields of an event's JSON that a reader routes by.
#[derive(Deserialize)]
struct Routing {
    job_id: JobId,
    seq: i32,
    kind: EventKind,
    state: JobState,
    lane: LaneName,
}

impl Announcement {
    /// Reads an event that came over the wire.
    ///
    /// # Errors
    ///
    /// If `json` is no event: whoever wrote it, it is to be skipped and counted.
    pub fn parse(tenant: TenantName, xid: i64, json: String) -> Result<Self, serde_json::Error> {
        let Routing { job_id, seq, kind, state, lane } = serde_json::from_str(&json)?;
        Ok(Self { job_id, seq, kind, state, lane, tenant, xid, json })
    }
}

/// What a committed change still owes to NATS, for one job or lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsent {
    /// The row of the outbox, to strike out once NATS has all of it.
    pub outbox_id: i64,
    /// The event to publish.
    pub event: Option<Event>,
    /// The lane to ring.
    pub ring: Option<LaneName>,
}

/// What a committed change owes to NATS. Hand it to the announcer after the
/// commit; whatever is lost on the way, the relay sends from the outbox.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "announce it after the commit, or watchers and workers learn of it late"]
pub struct Change {
    /// In the order of each job's events.
    pub unsent: Vec<Unsent>,
}

impl Change {
    /// The events, without the doorbells.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.unsent.iter().filter_map(|unsent| unsent.event.as_ref())
    }
}

impl Extend<Unsent> for Change {
    fn extend<T: IntoIterator<Item = Unsent>>(&mut self, more: T) {
        self.unsent.extend(more);
    }
}

/// From where a watcher wants to go on.
///
/// `xid` is a low-water mark: every event of an older ledger transaction has
/// been sent to the watcher. The rest names the event that carried the id, so
/// that this one at least is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumePoint {
    /// Every event with a smaller transaction id has been seen.
    pub xid: i64,
    /// The job of the event that carried this id.
    pub job_id: JobId,
    /// Its seq.
    pub seq: i32,
}

impl fmt::Display for ResumePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}:{}", self.xid, self.job_id, self.seq)
    }
}

impl FromStr for ResumePoint {
    type Err = UnknownSpelling;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownSpelling(text.to_owned());
        let (xid, event) = text.split_once('-').ok_or_else(unknown)?;
        let (job_id, seq) = event.split_once(':').ok_or_else(unknown)?;
        Ok(Self {
            xid: xid.parse().map_err(|_| unknown())?,
            job_id: job_id.parse().map_err(|_| unknown())?,
            seq: seq.parse().map_err(|_| unknown())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn every_kind_has_one_spelling() {
        for kind in EventKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    #[test]
    fn every_state_is_a_kind_too() {
        for state in JobState::ALL {
            assert_eq!(state.as_str().parse::<EventKind>().unwrap().as_str(), state.as_str());
        }
    }

    proptest! {
        #[test]
        fn a_resume_point_is_read_as_it_was_written(
            xid in any::<i64>().prop_map(i64::saturating_abs), id in any::<u128>(), seq in any::<i32>(),
        ) {
            let point = ResumePoint { xid, job_id: JobId(Uuid::from_u128(id)), seq };
            prop_assert_eq!(point.to_string().parse(), Ok(point));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".*") {
            let _ = text.parse::<ResumePoint>();
        }

        #[test]
        fn an_announcement_is_read_as_it_was_sent(
            id in any::<u128>(), seq in 1..i32::MAX, attempt in 0..9, xid in any::<i64>(),
            name in ".*",
        ) {
            let event = Event {
                job_id: JobId(Uuid::from_u128(id)),
                seq,
                kind: EventKind::Running,
                state: JobState::Running,
                attempt,
                timestamp: DateTime::UNIX_EPOCH,
                lane: LaneName::default(),
                tenant: TenantName::default(),
                xid,
                details: Map::from_iter([("name".to_owned(), Value::from(name))]),
            };
            let sent = event.announce(None, Some(DateTime::UNIX_EPOCH));
            let read = Announcement::parse(TenantName::default(), xid, sent.json.clone()).unwrap();
            prop_assert_eq!(read, sent);
        }
    }
}
