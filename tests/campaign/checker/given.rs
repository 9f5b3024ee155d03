//! Ledgers and histories for the checker's own tests.

use chrono::DateTime;
use serde_json::{Value, json};
use uuid::Uuid;

use super::ledger::{Event, Job, Ledger};
use crate::args::Switch;
use crate::history::{Cancel, Changed, Redrive, Standing, Submission};
use crate::load::{Fate, Plan};

/// The worker of every attempt.
pub(super) const WORKER: &str = "00000000-0000-0000-0000-00000000000a";

/// A job of submit `n` after one attempt.
pub(super) fn job(n: u32, state: &str) -> Job {
    let plan = plan(n);
    Job {
        id: Uuid::now_v7(),
        tenant: plan.tenant.to_owned(),
        lane: plan.lane.to_owned(),
        name: plan.name(),
        priority: plan.priority,
        state: state.to_owned(),
        attempt: 1,
        failures: 0,
        concurrency_key: None,
        result: (state == "completed").then(|| result(&plan)),
        error: None,
        event_seq: 3,
    }
}

/// What an attempt of the plan brings.
pub(super) fn result(plan: &Plan) -> Value {
    json!({ "attempt": 1, "gpu_id": 0, "duration_ms": plan.duration.as_millis() })
}

/// A plan that completes at once.
pub(super) fn plan(n: u32) -> Plan {
    Plan {
        fate: Fate::Completes,
        then: Vec::new(),
        delay: None,
        run_at: None,
        concurrency_key: None,
        ..Plan::mixed(1, n, Switch::Off)
    }
}

/// A submit that was answered with the job.
pub(super) fn submission(n: u32, job: &Job) -> Submission {
    Submission {
        plan: plan(n),
        standing: Standing::Accepted,
        ids: vec![job.id],
        cancel: Cancel::NotAsked,
        redrive: Redrive::NotAsked,
        changed: Changed::No,
    }
}

/// A ledger of these jobs, each with the events of a plain life.
pub(super) fn ledger_of(jobs: Vec<Job>) -> Ledger {
    let events = jobs.iter().flat_map(|job| plain_life(job, 10)).collect();
    Ledger::of(jobs, events)
}

/// A ledger of one job with these events.
pub(super) fn ledger_with(job: Job, events: Vec<Event>) -> Ledger {
    Ledger::of(vec![job], events)
}

/// Queued, running, and how the job ended; each a transaction, from `xid` on.
pub(super) fn plain_life(job: &Job, xid: i64) -> Vec<Event> {
    let mut events = vec![event(job, 1, "queued", 0), event(job, 2, "running", 1)];
    events.push(event(job, 3, &job.state, 1));
    for (event, xid) in events.iter_mut().zip(xid..) {
        event.xid = xid;
    }
    events
}

/// An event of a kind that names the state.
pub(super) fn event(job: &Job, seq: i32, kind: &str, attempt: i32) -> Event {
    let mut details = json!({ "name": job.name, "worker": WORKER, "gpu_id": 0 });
    if kind == "completed" {
        details["result"] = job.result.clone().unwrap_or_default();
    }
    Event {
        job_id: job.id,
        seq,
        kind: kind.to_owned(),
        state: kind.to_owned(),
        attempt,
        xid: i64::from(seq),
        created_at: DateTime::UNIX_EPOCH,
        lane: job.lane.clone(),
        tenant: job.tenant.clone(),
        details,
    }
}
