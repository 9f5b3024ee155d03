//! Whether one event may follow another.

use jetlane_core::domain::{EventKind, JobState, Transition};

/// What matters of an event for those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) kind: EventKind,
    pub(super) state: JobState,
    pub(super) attempt: i32,
}

/// Whether `step` may be a job's first.
pub(super) fn may_begin(step: Step) -> bool {
    let is_born_waiting = matches!(
        (step.kind, step.state),
        (EventKind::Scheduled, JobState::Scheduled) | (EventKind::Queued, JobState::Queued)
    );
    is_born_waiting && step.attempt == 0
}

/// Whether `step` may come right after `before`.
pub(super) fn may_follow(before: Step, step: Step) -> bool {
    let attempt = before.attempt + i32::from(step.kind == EventKind::Running);
    leads_to(before.state, step.kind).contains(&Some(step.state)) && step.attempt == attempt
}

/// The states that a job in state `from` may be in after an event of `kind`.
fn leads_to(from: JobState, kind: EventKind) -> [Option<JobState>; 2] {
    let by = |transition| from.after(transition).ok();
    match kind {
        EventKind::Scheduled => [by(Transition::Retry), by(Transition::Postpone)],
        EventKind::Queued => [by(Transition::Promote), None],
        EventKind::Running => [by(Transition::Claim), None],
        EventKind::Completed => [by(Transition::Complete), None],
        EventKind::Failed => [by(Transition::Fail), None],
        EventKind::Cancelled => [by(Transition::Cancel), None],
        EventKind::Released => [by(Transition::Release), None],
        EventKind::Redriven => [by(Transition::Redrive), None],
        EventKind::CancelRequested => [Some(from).filter(|at| *at == JobState::Running), None],
        EventKind::Updated => match from {
            JobState::Scheduled | JobState::Queued => {
                [Some(JobState::Scheduled), Some(JobState::Queued)]
            }
            JobState::Running | JobState::Completed | JobState::Failed | JobState::Cancelled => {
                [None, None]
            }
        },
        EventKind::Deleted => [Some(from).filter(|at| *at != JobState::Running), None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(kind: EventKind, state: JobState, attempt: i32) -> Step {
        Step { kind, state, attempt }
    }

    #[test]
    fn a_job_begins_waiting() {
        assert!(may_begin(step(EventKind::Queued, JobState::Queued, 0)));
        assert!(may_begin(step(EventKind::Scheduled, JobState::Scheduled, 0)));
        assert!(!may_begin(step(EventKind::Queued, JobState::Scheduled, 0)));
        assert!(!may_begin(step(EventKind::Queued, JobState::Queued, 1)));
        assert!(!may_begin(step(EventKind::Running, JobState::Running, 1)));
    }

    #[test]
    fn an_attempt_is_counted_where_it_begins_and_nowhere_else() {
        let queued = step(EventKind::Queued, JobState::Queued, 1);
        assert!(may_follow(queued, step(EventKind::Running, JobState::Running, 2)));
        assert!(!may_follow(queued, step(EventKind::Running, JobState::Running, 1)));
        assert!(!may_follow(queued, step(EventKind::Cancelled, JobState::Cancelled, 2)));
    }

    #[test]
    fn an_event_must_lead_where_it_says() {
        let running = step(EventKind::Running, JobState::Running, 1);
        assert!(may_follow(running, step(EventKind::Scheduled, JobState::Scheduled, 1)));
        assert!(may_follow(running, step(EventKind::CancelRequested, JobState::Running, 1)));
        assert!(!may_follow(running, step(EventKind::Completed, JobState::Failed, 1)));
        assert!(!may_follow(running, step(EventKind::Queued, JobState::Queued, 1)));
    }

    #[test]
    fn only_a_redrive_or_a_removal_follows_an_end() {
        let failed = step(EventKind::Failed, JobState::Failed, 3);
        let follows: Vec<EventKind> = EventKind::ALL
            .into_iter()
            .filter(|kind| {
                let steps = JobState::ALL.map(|state| step(*kind, state, 3));
                steps.into_iter().any(|step| may_follow(failed, step))
            })
            .collect();
        assert_eq!(follows, [EventKind::Redriven, EventKind::Deleted]);
    }
}
