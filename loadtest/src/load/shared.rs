//! What the users of a run share: the schedule, what they found, and what lets them in.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::HEAD_START;
use super::scenarios::Kind;
use super::timeline::Timeline;
use crate::latency::Latency;
use crate::pace::{Arrival, Arrivals};

/// A user comes for something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    kind: Kind,
    arrival: Arrival,
}

/// What the users of a run share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Those who come for one thing do not wait for those who come for another.
    arrivals: BTreeMap<Kind, Arc<Arrivals>>,
    target: Target,
    /// Begins the name of each job of this run.
    prefix: String,
    accepted: AtomicU64,
    found: Mutex<Found>,
}

/// Where users go.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// What comes before the API's paths, such as the stage of a gateway: without a slash at its end.
    pub(super) base_path: String,
    /// What lets them in.
    pub(super) api_key: Option<String>,
}

/// What the users found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// How late they were themselves.
    pub(super) lateness: Latency,
    /// From due to accepted, of each job.
    pub(super) accepted: Latency,
    pub(super) kinds: BTreeMap<Kind, Done>,
    pub(super) timeline: Timeline,
}

/// What came of the visits of a kind.
#[derive(Clone, Debug)]
pub(super) struct Done {
    /// From due to done, of what was done well.
    pub(super) latency: Latency,
    pub(super) failed: u64,
}

impl Visit {
    /// When it was due.
    pub(super) fn due(self) -> Instant {
        self.arrival.due
    }
}

impl Shared {
    /// A load of a target with these arrivals, whose jobs have names that begin with `prefix`.
    pub(super) fn new(
        arrivals: BTreeMap<Kind, Arc<Arrivals>>,
        target: Target,
        prefix: String,
    ) -> Self {
        let found = Found {
            lateness: Latency::new(),
            accepted: Latency::new(),
            kinds: BTreeMap::new(),
            timeline: Timeline::default(),
        };
        Self { arrivals, target, prefix, accepted: AtomicU64::new(0), found: Mutex::new(found) }
    }

    /// Lets users come from now on, after the head start.
    pub(super) fn begin(&self) {
        self.arrivals.values().for_each(Arrivals::begin);
    }

    /// The next user who comes for this, once it is due; `None` after the last.
    pub(super) async fn next(&self, kind: Kind) -> Option<Visit> {
        let arrival = self.arrivals.get(&kind)?.next().await?;
        let visit = Visit { kind, arrival };
        let mut found = self.lock();
        found.lateness.record(arrival.due.elapsed());
        found.timeline.note_due(self.second(visit));
        Some(visit)
    }

    /// The job of a visit.
    pub(super) fn job(&self, Visit { kind, arrival }: Visit) -> Value {
        let name = format!("{}{kind}-{}", self.prefix, arrival.n);
        json!({ "name": name, "params": { "duration_ms": 0 } })
    }

    /// The visit to which a job of this run belongs.
    pub(super) fn visit_of(&self, job: &str) -> Option<Visit> {
        let (kind, n) = job.strip_prefix(&self.prefix)?.split_once('-')?;
        let (kind, n) = (kind.parse().ok()?, n.parse().ok()?);
        let due = self.arrivals.get(&kind)?.due(n)?;
        Some(Visit { kind, arrival: Arrival { n, due } })
    }

    /// In which second a visit is due, from 0, the head start apart.
    fn second(&self, Visit { kind, arrival }: Visit) -> usize {
        let start = self.arrivals.get(&kind).map_or(arrival.due, |arrivals| arrivals.start());
        let since = arrival.due.saturating_duration_since(start + HEAD_START);
        usize::try_from(since.as_secs()).unwrap_or_default()
    }

    /// Where the target has a path of the API. Goose takes paths from its host's root.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.target.base_path)
    }

    /// The request, with what lets it in.
    pub(super) fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.target.api_key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Notes that jobs of a visit were accepted.
    pub(super) fn note_accepted(&self, visit: Visit, count: u64) {
        self.accepted.fetch_add(count, Ordering::Relaxed);
        self.lock().accepted.record_many(visit.arrival.due.elapsed(), count);
    }

    /// How many arrivals there are in the schedule.
    pub(super) fn due(&self) -> u64 {
        self.arrivals.values().map(|arrivals| arrivals.count()).sum()
    }

    /// How many jobs were accepted.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Notes what became of a visit.
    pub(super) fn note(&self, visit: Visit, is_done: bool) {
        let took = visit.arrival.due.elapsed();
        let second = self.second(visit);
        let mut found = self.lock();
        let done = found
            .kinds
            .entry(visit.kind)
            .or_insert_with(|| Done { latency: Latency::new(), failed: 0 });
        if is_done {
            done.latency.record(took);
        } else {
            done.failed += 1;
        }
        found.timeline.note_done(second, is_done.then_some(took));
    }

    /// Notes when a watcher was told that a job of a visit runs.
    pub(super) fn note_running(&self, visit: Visit, took: Duration) {
        let second = self.second(visit);
        self.lock().timeline.note_running(second, took);
    }

    /// What was found so far.
    pub(super) fn found(&self) -> Found {
        self.lock().clone()
    }

    /// How many arrivals were served so far, and how many of them failed.
    pub(super) fn served(&self) -> (u64, u64) {
        let found = self.lock();
        let failed: u64 = found.kinds.values().map(|done| done.failed).sum();
        (found.kinds.values().map(|done| done.latency.count()).sum::<u64>() + failed, failed)
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        // What another has noted before it panicked is true all the same.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
