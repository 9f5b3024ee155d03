//! The ledger as it was in the end.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::load::number;

/// A job.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Job {
    pub(crate) id: Uuid,
    pub(crate) tenant: String,
    pub(crate) lane: String,
    pub(crate) name: String,
    pub(crate) priority: i32,
    pub(crate) state: String,
    pub(crate) attempt: i32,
    pub(crate) failures: i32,
    pub(crate) concurrency_key: Option<String>,
    pub(crate) result: Option<Value>,
    pub(crate) error: Option<Value>,
    pub(crate) event_seq: i32,
}

impl Job {
    /// Whether it has ended.
    pub(crate) fn is_final(&self) -> bool {
        ["completed", "failed", "cancelled"].contains(&self.state.as_str())
    }

    /// Whether it was put away because workers died while they held it.
    pub(crate) fn is_quarantined(&self) -> bool {
        self.state == "failed"
            && self.error.as_ref().is_some_and(|error| error["type"] == "quarantined")
    }

    /// The submit that made it.
    pub(crate) fn number(&self) -> Option<u32> {
        number(&self.name)
    }
}

/// An event.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Event {
    pub(crate) job_id: Uuid,
    pub(crate) seq: i32,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) attempt: i32,
    pub(crate) xid: i64,
    /// By the ledger's clock.
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) lane: String,
    pub(crate) tenant: String,
    pub(crate) details: Value,
}

impl Event {
    /// Whether it took an attempt from a worker that was gone, and not one that drained.
    pub(crate) fn is_of_lost_worker(&self) -> bool {
        self.kind == "released" && self.details["reason"] == "worker lost"
    }
}

/// The ledger.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) jobs: HashMap<Uuid, Job>,
    /// Each job's, by their seq.
    pub(crate) events: HashMap<Uuid, Vec<Event>>,
}

impl Ledger {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// The database's.
    pub(crate) async fn read(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let jobs: Vec<Job> = sqlx::query_as(
            "SELECT id, tenant, lane, name, priority, state, attempt, failures, concurrency_key,
                    result, error, event_seq
             FROM jobs",
        )
        .fetch_all(pool)
        .await?;
        let events: Vec<Event> = sqlx::query_as(
            "SELECT job_id, seq, kind, state, attempt, xid, created_at, lane, tenant, details
             FROM job_events",
        )
        .fetch_all(pool)
        .await?;
        Ok(Self::of(jobs, events))
    }

    /// A ledger of these jobs and events.
    pub(super) fn of(jobs: Vec<Job>, events: Vec<Event>) -> Self {
        let mut ledger = Self::default();
        for event in events {
            ledger.events.entry(event.job_id).or_default().push(event);
        }
        for events in ledger.events.values_mut() {
            events.sort_by_key(|event| event.seq);
        }
        ledger.jobs = jobs.into_iter().map(|job| (job.id, job)).collect();
        ledger
    }

    /// A job's events, by their seq.
    pub(crate) fn events_of(&self, job: Uuid) -> &[Event] {
        self.events.get(&job).map(Vec::as_slice).unwrap_or_default()
    }

    /// The event, if there is one.
    pub(crate) fn event(&self, job: Uuid, seq: i32) -> Option<&Event> {
        let events = self.events_of(job);
        events.binary_search_by_key(&seq, |event| event.seq).ok().map(|place| &events[place])
    }
}
