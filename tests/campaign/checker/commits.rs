//! B: one end is committed, by the last attempt, with what it must have
//! brought; and only the job's own failures are charged.

use serde_json::json;

use super::ledger::{Event, Job, Ledger};
use crate::history::Submission;
use crate::load::{Fate, Plan};
use crate::violations::{Invariant, Violation};
use crate::world::SLOTS;

/// Every violation of what an end means.
pub(super) fn check(submissions: &[Submission], ledger: &Ledger) -> Vec<Violation> {
    let mut violations = Vec::new();
    for job in ledger.jobs.values() {
        let events = since_last_chance(ledger.events_of(job.id));
        for what in wrong_commits(job, events) {
            violations.push(Violation::of(Invariant::CommittedOnce, job.id, what));
        }
        let submission = job.number().and_then(|n| submissions.get(n as usize));
        let Some(Submission { plan, .. }) = submission else { continue };
        if let Some(what) = wrong_result(plan, job) {
            violations.push(Violation::of(Invariant::CommittedOnce, job.id, what));
        }
        if let Some(what) = wrong_charge(plan, job, events) {
            violations.push(Violation::of(Invariant::Charged, job.id, what));
        }
    }
    violations
}

/// The events since a failed job was given another chance: the end before is
/// taken back by that, and what was charged.
fn since_last_chance(events: &[Event]) -> &[Event] {
    let given = events.iter().rposition(|event| event.kind == "redriven");
    &events[given.unwrap_or(0)..]
}

fn wrong_commits(job: &Job, events: &[Event]) -> Vec<String> {
    let mut wrong = Vec::new();
    let ends: Vec<_> = events
        .iter()
        .filter(|event| ["completed", "failed", "cancelled"].contains(&event.kind.as_str()))
        .collect();
    if ends.len() > 1 {
        let kinds: Vec<_> = ends.iter().map(|e| format!("{} by {}", e.kind, e.attempt)).collect();
        wrong.push(format!("it has ended {} times: {}", ends.len(), kinds.join(", ")));
    }
    for end in ends {
        if end.attempt != job.attempt {
            wrong.push(format!(
                "it is {} by attempt {}, and its last attempt is {}",
                end.kind, end.attempt, job.attempt
            ));
        }
        if end.kind != job.state {
            wrong.push(format!("it is {}, and its event says {}", job.state, end.kind));
        }
        let start = events.iter().find(|e| e.kind == "running" && e.attempt == end.attempt);
        let is_by_another =
            start.is_some_and(|start| start.details["worker"] != end.details["worker"]);
        if end.kind == "completed" && (start.is_none() || is_by_another) {
            wrong
                .push(format!("attempt {} was begun by another worker than ended it", end.attempt));
        }
        if end.kind == "completed" && job.result != end.details.get("result").cloned() {
            wrong.push("its event tells another result".to_owned());
        }
        // What the work itself says of where it was done, against what was recorded.
        if let (Some(start), Some(result)) = (start, &job.result)
            && (&json!(end.attempt), &start.details["gpu_id"])
                != (&result["attempt"], &result["gpu_id"])
        {
            wrong.push(format!(
                "attempt {} on GPU {} is recorded with the result of attempt {} on GPU {}",
                end.attempt, start.details["gpu_id"], result["attempt"], result["gpu_id"]
            ));
        }
    }
    wrong
}

fn wrong_result(plan: &Plan, job: &Job) -> Option<String> {
    if job.state != "completed" {
        return job.result.as_ref().map(|result| format!("it is {} with {result}", job.state));
    }
    let Some(result) = &job.result else {
        return Some("it completed without a result".to_owned());
    };
    let is_duration =
        result["duration_ms"].as_u64().map(u128::from) == Some(plan.duration.as_millis());
    let is_slot = result["gpu_id"].as_i64().is_some_and(|slot| (0..SLOTS).contains(&slot));
    (!is_duration || !is_slot).then(|| {
        format!("it was to take {:?} on one of {SLOTS} GPUs, and brought {result}", plan.duration)
    })
}

/// Lost workers, drains and outages charge nothing. They may take the place of
/// an attempt that was to fail, since that goes by the attempt's number.
fn wrong_charge(plan: &Plan, job: &Job, events: &[Event]) -> Option<String> {
    let own = match plan.fate {
        Fate::Completes => 0,
        Fate::CompletesAfter(failures) => i32::try_from(failures).unwrap_or(i32::MAX),
        Fate::Fails => 1,
    };
    let interrupted = events.iter().filter(|event| event.kind == "released").count();
    let least = match job.state.as_str() {
        "completed" | "failed" if !job.is_quarantined() => {
            own.saturating_sub(i32::try_from(interrupted).unwrap_or(i32::MAX))
        }
        _ => 0,
    };
    let is_right = (least.max(0)..=own).contains(&job.failures);
    (!is_right).then(|| format!("{} failures were charged, and it fails {own} times", job.failures))
}

#[cfg(test)]
mod tests {
    use super::super::given::{event, job, ledger_of, ledger_with, plain_life, submission};
    use super::*;

    fn found(job: Job, events: Vec<Event>) -> Vec<Invariant> {
        let submissions = [submission(0, &job)];
        let violations = check(&submissions, &ledger_with(job, events));
        violations.into_iter().map(|violation| violation.invariant).collect()
    }

    #[test]
    fn a_plain_life_is_well() {
        let job = job(0, "completed");
        assert_eq!(check(&[submission(0, &job)], &ledger_of(vec![job])), []);
    }

    #[test]
    fn two_ends_are_noticed() {
        let job = job(0, "completed");
        let mut events = plain_life(&job, 1);
        events.push(event(&job, 4, "completed", 1));
        assert_eq!(found(job, events), [Invariant::CommittedOnce]);
    }

    #[test]
    fn an_end_by_a_superseded_attempt_is_noticed() {
        let job = Job { attempt: 2, ..job(0, "completed") };
        let events = plain_life(&job, 1);
        assert_eq!(found(job, events), [Invariant::CommittedOnce]);
    }

    #[test]
    fn an_end_by_another_worker_is_noticed() {
        let job = job(0, "completed");
        let mut events = plain_life(&job, 1);
        events[2].details["worker"] = json!("another");
        assert_eq!(found(job, events), [Invariant::CommittedOnce]);
    }

    #[test]
    fn another_attempts_result_is_noticed() {
        let mut job = job(0, "completed");
        job.result.as_mut().unwrap()["attempt"] = json!(2);
        let events = plain_life(&job, 1);
        assert_eq!(found(job, events), [Invariant::CommittedOnce]);
    }

    #[test]
    fn another_jobs_result_is_noticed() {
        let job = Job {
            result: Some(json!({ "attempt": 1, "gpu_id": 0, "duration_ms": 0 })),
            ..job(0, "completed")
        };
        let events = plain_life(&job, 1);
        assert_eq!(found(job, events), [Invariant::CommittedOnce]);
    }

    #[test]
    fn a_charge_for_a_lost_worker_is_noticed() {
        let job = Job { failures: 1, ..job(0, "completed") };
        let events = plain_life(&job, 1);
        assert_eq!(found(job, events), [Invariant::Charged]);
    }
}
