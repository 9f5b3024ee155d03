//! A job, what it is made from, and what its attempts are told and tell.

use std::fmt;
use std::num::NonZeroI32;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{
    JobId, JobState, LaneName, RetryPolicy, TenantName, Tool, UnknownSpelling, WorkerId,
    optional_rfc3339, rfc3339,
};

/// A job as the ledger holds it, and as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Job {
    /// Its identity.
    pub id: JobId,
    /// Whose it is; not shown, since a caller sees only its own tenant's jobs.
    #[serde(skip)]
    pub tenant: TenantName,
    /// The queue it waits in.
    pub lane: LaneName,
    /// What people call it.
    pub name: String,
    /// What carries it out.
    pub tool: Tool,
    /// What the tool is given.
    pub params: Map<String, Value>,
    /// Higher runs first.
    pub priority: i32,
    /// Where it stands.
    pub state: JobState,
    /// The attempt that runs or ran last, 0 before the first; never reused.
    pub attempt: i32,
    /// Attempts that count against `max_attempts`.
    pub failures: i32,
    /// How many charged failures make it a dead letter.
    pub max_attempts: i32,
    /// Not to be started before.
    #[serde(with = "rfc3339")]
    pub run_at: DateTime<Utc>,
    /// Fails unless it was started by then.
    #[serde(with = "optional_rfc3339")]
    pub start_by: Option<DateTime<Utc>>,
    /// How long one attempt may take, in seconds in JSON.
    #[serde(serialize_with = "seconds")]
    pub timeout: Option<Duration>,
    /// What follows a failed attempt, over what its lane says.
    pub retry: RetryPolicy,
    /// Jobs of a tenant with the same key run one at a time, or as many at once
    /// as its limit says.
    pub concurrency_key: Option<String>,
    /// Who asked for it.
    pub submitted_by: Option<String>,
    /// The worker that runs it, or ran it last.
    pub worker: Option<WorkerId>,
    /// The GPU of that attempt.
    pub gpu_id: Option<i32>,
    /// Latest reported progress, 0 to 1.
    pub progress: Option<f32>,
    /// What it brought, once completed.
    pub result: Option<Value>,
    /// Why it failed, or why its last attempt did.
    pub error: Option<JobError>,
    /// Accepted.
    #[serde(with = "rfc3339")]
    pub created_at: DateTime<Utc>,
    /// Latest start of an attempt.
    #[serde(with = "optional_rfc3339")]
    pub started_at: Option<DateTime<Utc>>,
    /// Reached its final state.
    #[serde(with = "optional_rfc3339")]
    pub finished_at: Option<DateTime<Utc>>,
    /// Its end was asked for while it ran.
    #[serde(with = "optional_rfc3339")]
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// The seq of its latest event.
    pub event_seq: i32,
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn seconds<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.serialize_f64(value.as_secs_f64()),
        None => to.serialize_none(),
    }
}

/// What makes a job.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// Made by whoever accepts the request.
    pub id: JobId,
    /// Whose it is.
    pub tenant: TenantName,
    /// The queue it goes to; must exist.
    pub lane: LaneName,
    /// What people call it.
    pub name: String,
    /// What carries it out.
    pub tool: Tool,
    /// What the tool is given.
    pub params: Map<String, Value>,
    /// Higher runs first.
    pub priority: i32,
    /// Who asked for it.
    pub submitted_by: Option<String>,
    /// When it is due.
    pub run_at: RunAt,
    /// Fails unless it was started by then.
    pub start_by: Option<DateTime<Utc>>,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// How many charged failures make it a dead letter; `None` for what its
    /// lane says.
    pub max_attempts: Option<NonZeroI32>,
    /// What follows a failed attempt, over what its lane says.
    pub retry: RetryPolicy,
    /// Jobs of a tenant with the same key run one at a time, or as many at once
    /// as its limit says.
    pub concurrency_key: Option<String>,
    /// The caller's W3C trace context.
    pub traceparent: Option<String>,
    /// Makes the submit repeatable.
    pub idempotency: Option<Idempotency>,
}

/// A submitter's name for one request: the same again is the same job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The submitter's name for it.
    pub key: String,
    /// A hash of what was asked for, so that another request under the same
    /// name is noticed.
    pub fingerprint: [u8; 32],
}

/// When a job is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunAt {
    /// As soon as there is room.
    #[default]
    Now,
    /// Not before this time of the ledger's clock.
    At(DateTime<Utc>),
}

/// What a waiting job's owner may change. `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobPatch {
    /// What people call it.
    pub name: Option<String>,
    /// Replaced whole, not merged.
    pub params: Option<Map<String, Value>>,
    /// Higher runs first.
    pub priority: Option<i32>,
    /// Who asked for it; `Some(None)` clears it.
    pub submitted_by: Option<Option<String>>,
    /// The queue it moves to; must exist.
    pub lane: Option<LaneName>,
    /// When it is due; a time that has come makes it claimable.
    pub run_at: Option<DateTime<Utc>>,
}

impl JobPatch {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The right to tell of one attempt. Holding this value does not mean that the
/// attempt is still the current one: every write checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub job_id: JobId,
    /// The attempt, which is the fence.
    pub attempt: i32,
}

/// What the end of an attempt makes room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Frees {
    /// A slot of the worker, no more.
    Slot,
    /// The next job of the same concurrency key too.
    Key,
}

/// A job that a worker has just claimed.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// The right to tell of this attempt.
    pub lease: Lease,
    /// The job's lane.
    pub lane: LaneName,
    /// Whose it is.
    pub tenant: TenantName,
    /// What people call it.
    pub name: String,
    /// What carries it out.
    pub tool: Tool,
    /// What the tool is given.
    pub params: Map<String, Value>,
    /// The GPU that the attempt was given.
    pub gpu_id: i32,
    /// Failures charged so far.
    pub failures: i32,
    /// How many charged failures make it a dead letter.
    pub max_attempts: i32,
    /// How long the attempt may take.
    pub timeout: Option<Duration>,
    /// What follows a failure, as far as the job or its lane says.
    pub retry: RetryPolicy,
    /// What its end makes room for.
    pub frees: Frees,
    /// The submitter's W3C trace context.
    pub traceparent: Option<String>,
}

/// Why an attempt, or a job, failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// What kind of failure.
    #[serde(rename = "type")]
    pub kind: ErrorKind,
    /// For people.
    pub message: String,
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Another attempt may do better.
    Transient,
    /// No other attempt would do better.
    Permanent,
    /// The attempt took longer than it may.
    Timeout,
    /// The tool panicked.
    Panic,
    /// It was not started by the time that its submitter set.
    Expired,
    /// Three workers died while they held it.
    Quarantined,
}

impl ErrorKind {
    /// The kinds that another attempt can follow: a tool's failures that may pass.
    pub const RETRIED: [Self; 3] = [Self::Transient, Self::Timeout, Self::Panic];

    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Transient,
        Self::Permanent,
        Self::Timeout,
        Self::Panic,
        Self::Expired,
        Self::Quarantined,
    ];

    /// The one spelling, in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Timeout => "timeout",
            Self::Panic => "panic",
            Self::Expired => "expired",
            Self::Quarantined => "quarantined",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ErrorKind {
    type Err = UnknownSpelling;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownSpelling(text.to_owned()))
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Well.
    Completed {
        /// What it brought.
        result: Option<Value>,
    },
    /// With a failure that another attempt may not have.
    Retry {
        /// How long to wait before the next attempt.
        after: Duration,
        /// The failure.
        error: JobError,
    },
    /// With a failure and no attempt left.
    Failed {
        /// The failure.
        error: JobError,
    },
    /// Stopped because its end was asked for.
    Cancelled,
    /// Interrupted without a fault of the job; charges nothing.
    Released,
}

/// What a worker tells of an attempt's end.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// Which attempt.
    pub lease: Lease,
    /// As the claim said.
    pub frees: Frees,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it ran.
    pub execution_time: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_has_one_spelling() {
        for kind in ErrorKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
