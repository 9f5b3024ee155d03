//! No job may run before it is due.

use super::ledger::Ledger;
use crate::history::Submission;
use crate::violations::{Invariant, Violation};

/// Every job that could have run too early, and whether any had to wait at all.
pub(super) fn check(submissions: &[Submission], ledger: &Ledger) -> Vec<Violation> {
    let mut violations = Vec::new();
    let (mut delayed, mut waited) = (0_u32, 0_u32);
    for job in ledger.jobs.values() {
        let submission = job.number().and_then(|n| submissions.get(n as usize));
        let Some(run_at) = submission.and_then(|submission| submission.plan.run_at) else {
            continue;
        };
        let events = ledger.events_of(job.id);
        delayed += 1;
        waited += u32::from(events.first().is_some_and(|event| event.kind == "scheduled"));
        let queued = events.iter().find(|event| event.state == "queued");
        if let Some(early) = queued.filter(|event| event.created_at < run_at) {
            let what = format!("it is due at {run_at}, and was let go at {}", early.created_at);
            violations.push(Violation::of(Invariant::Due, job.id, what));
        }
    }
    // The others were submitted again and again until they were due.
    if waited * 2 < delayed {
        let what = format!("only {waited} of {delayed} jobs of the future had to wait");
        violations.push(Violation::general(Invariant::Felt, what));
    }
    violations
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::super::given::{event, job, ledger_with, submission};
    use super::*;

    /// A job that is due a second after the epoch, and let go after so long.
    fn found_when_let_go_after(millis: i64) -> Vec<Invariant> {
        let job = job(0, "queued");
        let due = DateTime::UNIX_EPOCH + TimeDelta::seconds(1);
        let mut submission = submission(0, &job);
        submission.plan.run_at = Some(due);
        let scheduled = event(&job, 1, "scheduled", 0);
        let mut queued = event(&job, 2, "queued", 0);
        queued.created_at += TimeDelta::milliseconds(millis);
        let violations = check(&[submission], &ledger_with(job, vec![scheduled, queued]));
        violations.into_iter().map(|violation| violation.invariant).collect()
    }

    #[test]
    fn a_job_that_is_let_go_too_early_is_noticed() {
        assert_eq!(found_when_let_go_after(1_000), []);
        assert_eq!(found_when_let_go_after(999), [Invariant::Due]);
    }
}
