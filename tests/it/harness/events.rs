//! Events as a watcher reads them.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value;

/// An event, from a frame or from a NATS message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// What to give as `Last-Event-ID`; empty for one from NATS.
    pub(crate) id: String,
    pub(crate) job_id: String,
    pub(crate) seq: i64,
    pub(crate) kind: String,
    pub(crate) attempt: i64,
    pub(crate) json: Value,
    /// When the test read it.
    pub(crate) read_at: DateTime<Utc>,
}

impl Event {
    /// The event that `json` is, if it is one.
    pub(crate) fn read(id: &str, json: Value, read_at: DateTime<Utc>) -> Option<Self> {
        Some(Self {
            id: id.to_owned(),
            job_id: json["job_id"].as_str()?.to_owned(),
            seq: json["seq"].as_i64()?,
            kind: json["kind"].as_str()?.to_owned(),
            attempt: json["attempt"].as_i64()?,
            json,
            read_at,
        })
    }

    /// What makes it the same event wherever it is read.
    pub(crate) fn identity(&self) -> (String, i64) {
        (self.job_id.clone(), self.seq)
    }
}

/// The events without repeats, as every client must read them.
pub(crate) fn without_repeats(events: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let mut seen = HashSet::new();
    events.into_iter().filter(|event| seen.insert(event.identity())).collect()
}

/// Their kinds, in their order.
pub(crate) fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

/// Each job's events, in the order given.
pub(crate) fn by_job(events: &[Event]) -> BTreeMap<String, Vec<Event>> {
    let mut jobs: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for event in events {
        jobs.entry(event.job_id.clone()).or_default().push(event.clone());
    }
    jobs
}

/// Each job's events come as 1, 2, 3, … without a gap.
#[track_caller]
pub(crate) fn assert_gapless(events: &[Event]) {
    for (job, events) in by_job(events) {
        for (event, seq) in events.iter().zip(1..) {
            assert_eq!(event.seq, seq, "job {job}: {:?}", kinds(&events));
        }
    }
}
