//! A and E: what was accepted exists once and has ended as it must.

use std::collections::HashMap;

use uuid::Uuid;

use super::ledger::{Event, Job, Ledger};
use crate::history::{Cancel, Changed, Redrive, Standing, Submission};
use crate::load::Fate;
use crate::violations::{Invariant, Violation};

/// At least so much of what was not cancelled, and not meant to fail, completes.
const SHARE: f64 = 0.95;

/// So many workers must have died while they held a job before it is put away.
const DEATHS: usize = 3;

/// Every violation of what acceptance means.
pub(super) fn check(submissions: &[Submission], ledger: &Ledger) -> Vec<Violation> {
    let mut jobs: HashMap<u32, Vec<&Job>> = HashMap::new();
    let mut violations = Vec::new();
    for job in ledger.jobs.values() {
        let submission = job.number().and_then(|n| submissions.get(n as usize));
        match submission {
            Some(Submission { plan, .. })
                if (job.tenant.as_str(), job.lane.as_str()) == (plan.tenant, plan.lane) =>
            {
                jobs.entry(plan.n).or_default().push(job);
            }
            _ => {
                let what =
                    format!("nobody submitted {} for {} in {}", job.name, job.tenant, job.lane);
                violations.push(Violation::of(Invariant::Accepted, job.id, what));
            }
        }
        if !job.is_final() {
            let what = format!("it is still {} after attempt {}", job.state, job.attempt);
            violations.push(Violation::of(Invariant::Accepted, job.id, what));
        }
    }
    for submission in submissions {
        let jobs = jobs.get(&submission.plan.n).map(Vec::as_slice).unwrap_or_default();
        violations.extend(check_one(submission, jobs, ledger));
    }
    violations.extend(too_few_completed(submissions, ledger));
    violations
}

fn check_one(submission: &Submission, jobs: &[&Job], ledger: &Ledger) -> Vec<Violation> {
    let mut violations = Vec::new();
    let name = submission.plan.name();
    for id in &submission.ids {
        if !jobs.iter().any(|job| job.id == *id) {
            let what = format!("{name} was accepted and is not in the ledger");
            violations.push(Violation::of(Invariant::Accepted, *id, what));
        }
    }
    let answered = submission.ids.len();
    if answered > 1 {
        let what = format!("{name} was answered with {answered} jobs: {:?}", submission.ids);
        violations.push(Violation::general(Invariant::Idempotent, what));
    }
    if jobs.len() > 1 {
        let ids: Vec<Uuid> = jobs.iter().map(|job| job.id).collect();
        let what = format!("{name} is {} jobs: {ids:?}", jobs.len());
        violations.push(Violation::general(Invariant::Idempotent, what));
    }
    if submission.standing == Standing::NotDone && !jobs.is_empty() {
        let what = format!("{name} was never sent, and is in the ledger");
        violations.push(Violation::of(Invariant::Accepted, jobs[0].id, what));
    }
    for job in jobs {
        let chances = ledger.events_of(job.id).iter().filter(|e| e.kind == "redriven").count();
        let is_right = match submission.redrive {
            Redrive::NotAsked => chances == 0,
            Redrive::Unknown => chances <= 1,
            Redrive::Done => chances == 1,
        };
        if !is_right {
            let what =
                format!("it had {chances} more chances; the client: {:?}", submission.redrive);
            violations.push(Violation::of(Invariant::Accepted, job.id, what));
        }
    }
    for job in jobs {
        let (as_submitted, as_changed) =
            (submission.plan.priority, submission.plan.changed_priority());
        let is_right = match submission.changed {
            Changed::No => job.priority == as_submitted,
            Changed::Unknown => [as_submitted, as_changed].contains(&job.priority),
            Changed::Done => job.priority == as_changed,
        };
        if !is_right {
            let what = format!(
                "its priority is {} after a change from {as_submitted}; the client: {:?}",
                job.priority, submission.changed
            );
            violations.push(Violation::of(Invariant::Accepted, job.id, what));
        }
    }
    for job in jobs.iter().filter(|job| job.is_final()) {
        if let Some(what) = wrong_end(submission, job, ledger.events_of(job.id)) {
            violations.push(Violation::of(Invariant::Accepted, job.id, what));
        }
    }
    violations
}

/// What is wrong with how a job ended, if something is.
fn wrong_end(submission: &Submission, job: &Job, events: &[Event]) -> Option<String> {
    let due = match submission.plan.fate {
        Fate::Completes | Fate::CompletesAfter(_) => "completed",
        Fate::Fails => "failed",
    };
    let may_be_cancelled = submission.cancel != Cancel::NotAsked;
    let must_be_cancelled = submission.cancel == Cancel::Done;
    match job.state.as_str() {
        "cancelled" if may_be_cancelled => None,
        "cancelled" => Some("it was cancelled, and nobody had asked for that".to_owned()),
        state if must_be_cancelled => {
            Some(format!("a cancel was answered with success, and it is {state}"))
        }
        _ if job.is_quarantined() => {
            let deaths = 1 + events.iter().filter(|event| event.is_of_lost_worker()).count();
            (deaths < DEATHS).then(|| format!("it was quarantined after {deaths} deaths"))
        }
        state if state == due => None,
        state => Some(format!("it must have {due}, and is {state}")),
    }
}

fn too_few_completed(submissions: &[Submission], ledger: &Ledger) -> Option<Violation> {
    let accepted = submissions.iter().filter(|s| s.plan.fate != Fate::Fails).flat_map(|s| &s.ids);
    let (mut due, mut completed) = (0_u32, 0_u32);
    for job in accepted.filter_map(|id| ledger.jobs.get(id)) {
        due += u32::from(job.state != "cancelled");
        completed += u32::from(job.state == "completed");
    }
    (f64::from(completed) < f64::from(due) * SHARE).then(|| {
        let what = format!("only {completed} of {due} jobs that were to complete did");
        Violation::general(Invariant::Accepted, what)
    })
}

#[cfg(test)]
mod tests {
    use super::super::given::{job, ledger_of, submission};
    use super::*;

    fn found(submissions: &[Submission], ledger: &Ledger) -> Vec<Invariant> {
        check(submissions, ledger).into_iter().map(|violation| violation.invariant).collect()
    }

    #[test]
    fn what_was_accepted_and_completed_is_well() {
        let job = job(0, "completed");
        assert_eq!(found(&[submission(0, &job)], &ledger_of(vec![job])), []);
    }

    #[test]
    fn a_lost_job_is_noticed() {
        let lost = job(0, "completed");
        assert_eq!(found(&[submission(0, &lost)], &Ledger::default()), [Invariant::Accepted]);
    }

    #[test]
    fn a_job_that_never_ends_is_noticed() {
        let stuck = job(0, "running");
        let found = found(&[submission(0, &stuck)], &ledger_of(vec![stuck]));
        assert!(found.contains(&Invariant::Accepted));
    }

    #[test]
    fn two_jobs_of_one_submit_are_noticed() {
        let (one, two) = (job(0, "completed"), job(0, "completed"));
        let found = found(&[submission(0, &one)], &ledger_of(vec![one, two]));
        assert_eq!(found, [Invariant::Idempotent]);
    }

    #[test]
    fn a_cancel_that_nobody_asked_for_is_noticed() {
        let job = job(0, "cancelled");
        let asked = Submission { cancel: Cancel::Done, ..submission(0, &job) };
        let not_asked = submission(0, &job);
        let ledger = ledger_of(vec![job]);
        assert_eq!(found(&[asked], &ledger), []);
        assert_eq!(found(&[not_asked], &ledger), [Invariant::Accepted]);
    }

    #[test]
    fn another_chance_that_was_promised_and_not_given_is_noticed() {
        let job = job(0, "completed");
        let asked = Submission { redrive: Redrive::Done, ..submission(0, &job) };
        assert_eq!(found(&[asked], &ledger_of(vec![job])), [Invariant::Accepted]);
    }

    #[test]
    fn a_change_that_was_promised_and_not_made_is_noticed() {
        let job = job(0, "completed");
        let asked = Submission { changed: Changed::Done, ..submission(0, &job) };
        assert_eq!(found(&[asked], &ledger_of(vec![job])), [Invariant::Accepted]);
    }

    #[test]
    fn a_cancel_that_was_promised_done_and_was_not_is_noticed() {
        let job = job(0, "completed");
        let asked = Submission { cancel: Cancel::Done, ..submission(0, &job) };
        assert_eq!(found(&[asked], &ledger_of(vec![job])), [Invariant::Accepted]);
    }
}
