//! What was seen of each job, and whether that is how it should be.

use std::collections::{BTreeMap, HashMap};

use jetlane_core::domain::{JobId, JobState};

use super::legality::{Step, may_begin, may_follow};
use crate::client::JobEvent;

/// The events of all jobs, as they were read.
#[derive(Debug, Default)]
pub(super) struct History {
    jobs: HashMap<JobId, Events>,
    repeats: usize,
}

/// The events of one job.
#[derive(Debug, Default)]
struct Events {
    by_seq: BTreeMap<i32, Step>,
    /// How often an event came after a later one.
    late: usize,
}

/// How the ledger says that a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) state: JobState,
    pub(super) event_seq: i32,
}

/// What is wrong; nothing, if all is well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Accepted jobs that did not reach exactly one final state, or another
    /// than the ledger says.
    pub(super) lost: usize,
    /// Events that were never seen although later ones were, or although the
    /// ledger has them.
    pub(super) event_gaps: usize,
    /// Events that may not follow the one before, or that came after a later one.
    pub(super) illegal_events: usize,
    /// Each of them in words.
    pub(super) complaints: Vec<String>,
}

impl History {
    /// Takes an event, and returns whether it was new.
    pub(super) fn record(&mut self, event: &JobEvent) -> bool {
        let JobEvent { kind, state, attempt, .. } = *event;
        let events = self.jobs.entry(event.job_id).or_default();
        let is_late = events.by_seq.last_key_value().is_some_and(|(last, _)| event.seq < *last);
        let is_new = events.by_seq.insert(event.seq, Step { kind, state, attempt }).is_none();

        self.repeats += usize::from(!is_new);
        events.late += usize::from(is_new && is_late);
        is_new
    }

    /// Events that were seen again.
    pub(super) fn repeats(&self) -> usize {
        self.repeats
    }

    /// How many different events were seen.
    pub(super) fn len(&self) -> usize {
        self.jobs.values().map(|events| events.by_seq.len()).sum()
    }

    /// Where the job stood after the last event that was seen.
    pub(super) fn state(&self, job: JobId) -> Option<JobState> {
        let (_, last) = self.jobs.get(&job)?.by_seq.last_key_value()?;
        Some(last.state)
    }

    /// Whether everything that the ledger tells of was seen.
    pub(super) fn is_complete(&self, ledger: &HashMap<JobId, Standing>) -> bool {
        ledger.iter().all(|(job, standing)| {
            let events = self.jobs.get(job);
            events.is_some_and(|events| events.missing(standing.event_seq) == 0)
        })
    }

    /// Judges what was seen of the jobs that were `accepted`.
    pub(super) fn judge(
        &self,
        accepted: impl IntoIterator<Item = JobId>,
        ledger: &HashMap<JobId, Standing>,
    ) -> Verdict {
        let nothing = Events::default();
        let mut verdict = Verdict::default();
        for job in accepted {
            let events = self.jobs.get(&job).unwrap_or(&nothing);
            events.judge(job, ledger.get(&job).copied(), &mut verdict);
        }
        verdict
    }
}

impl Events {
    /// How many of the events up to `last`, or up to the last one seen, were not.
    fn missing(&self, last: i32) -> usize {
        let last_seen = self.by_seq.last_key_value().map_or(0, |(seq, _)| *seq);
        let all = usize::try_from(last.max(last_seen)).unwrap_or_default();
        all.saturating_sub(self.by_seq.len())
    }

    fn judge(&self, job: JobId, ledger: Option<Standing>, verdict: &mut Verdict) {
        let missing = self.missing(ledger.map_or(0, |standing| standing.event_seq));
        if missing > 0 {
            verdict.event_gaps += missing;
            verdict.complaints.push(format!("job {job}: {missing} events were never seen"));
        }
        let illegal = self.illegal();
        if illegal > 0 || self.late > 0 {
            verdict.illegal_events += illegal + self.late;
            verdict.complaints.push(format!(
                "job {job}: {illegal} events may not follow the one before, {} came late",
                self.late
            ));
        }
        if let Err(complaint) = self.check_end(ledger) {
            verdict.lost += 1;
            verdict.complaints.push(format!("job {job}: {complaint}"));
        }
    }

    /// How many events may not follow the one before. What follows a gap is
    /// given the benefit of the doubt: the gap is counted already.
    fn illegal(&self) -> usize {
        let steps: Vec<(i32, Step)> = self.by_seq.iter().map(|(seq, step)| (*seq, *step)).collect();
        let begins_badly = steps.first().is_some_and(|(seq, step)| *seq == 1 && !may_begin(*step));
        let bad_steps = steps.windows(2).filter(|pair| {
            let [(before_seq, before), (seq, step)] = [pair[0], pair[1]];
            seq == before_seq + 1 && !may_follow(before, step)
        });
        usize::from(begins_badly) + bad_steps.count()
    }

    /// Exactly one end, as the last event, and the ledger says the same.
    fn check_end(&self, ledger: Option<Standing>) -> Result<(), String> {
        let Some(standing) = ledger else {
            return Err("the ledger does not have it".to_owned());
        };
        let ends: Vec<JobState> = self
            .by_seq
            .values()
            .filter(|step| step.kind.is_last())
            .map(|step| step.state)
            .collect();
        let last = self.by_seq.last_key_value().map(|(_, step)| step.state);
        match ends[..] {
            [end] if last == Some(end) && end == standing.state => Ok(()),
            [end] => Err(format!("it was seen {end}, and the ledger says {}", standing.state)),
            [] => Err(format!("no end was seen, and the ledger says {}", standing.state)),
            _ => Err(format!("it ended {} times", ends.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use JobState::{Cancelled, Completed, Failed, Queued, Running, Scheduled};
    use jetlane_core::domain::EventKind;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    const JOB: JobId = JobId(Uuid::from_u128(1));

    /// An event whose kind is its state.
    fn event(seq: i32, state: JobState, attempt: i32) -> JobEvent {
        serde_json::from_value(json!({
            "job_id": JOB, "seq": seq, "kind": state, "state": state, "attempt": attempt,
            "timestamp": "2026-01-31T12:00:00.000000Z", "lane": "default",
        }))
        .unwrap()
    }

    /// A job that fails once and then completes.
    fn retried() -> Vec<JobEvent> {
        vec![
            event(1, Queued, 0),
            event(2, Running, 1),
            event(3, Scheduled, 1),
            event(4, Queued, 1),
            event(5, Running, 2),
            event(6, Completed, 2),
        ]
    }

    fn judge(events: &[JobEvent], state: JobState, event_seq: i32) -> Verdict {
        let mut history = History::default();
        for event in events {
            history.record(event);
        }
        let ledger = HashMap::from([(JOB, Standing { state, event_seq })]);
        assert_eq!(history.is_complete(&ledger), history.judge([JOB], &ledger).event_gaps == 0);
        history.judge([JOB], &ledger)
    }

    fn figures(verdict: &Verdict) -> [usize; 3] {
        [verdict.lost, verdict.event_gaps, verdict.illegal_events]
    }

    #[test]
    fn a_retried_job_is_sound() {
        assert_eq!(judge(&retried(), Completed, 6), Verdict::default());
    }

    #[test]
    fn repeats_change_nothing() {
        let mut events = retried();
        events.extend(retried());
        assert_eq!(judge(&events, Completed, 6), Verdict::default());
    }

    #[test]
    fn every_missing_event_is_found() {
        for missing in 0..5 {
            let mut events = retried();
            events.remove(missing);
            assert_eq!(figures(&judge(&events, Completed, 6)), [0, 1, 0], "{missing}");
        }
    }

    #[test]
    fn a_missing_end_is_a_lost_job() {
        assert_eq!(figures(&judge(&retried()[..5], Completed, 6)), [1, 1, 0]);
        assert_eq!(figures(&judge(&retried()[..5], Running, 5)), [1, 0, 0]);
    }

    #[test]
    fn a_job_that_was_never_heard_of_is_lost() {
        assert_eq!(figures(&judge(&[], Queued, 1)), [1, 1, 0]);
        let verdict = History::default().judge([JOB], &HashMap::new());
        assert_eq!(figures(&verdict), [1, 0, 0]);
    }

    #[test]
    fn another_end_than_the_ledgers_is_a_lost_job() {
        assert_eq!(figures(&judge(&retried(), Cancelled, 6)), [1, 0, 0]);
    }

    #[test]
    fn a_second_end_is_a_lost_job() {
        let mut events = retried();
        events.push(event(7, Failed, 2));
        assert_eq!(figures(&judge(&events, Failed, 7)), [1, 0, 1]);
    }

    #[test]
    fn an_event_that_may_not_follow_is_found() {
        let events = [event(1, Queued, 0), event(2, Completed, 0)];
        assert_eq!(figures(&judge(&events, Completed, 2)), [0, 0, 1]);
        let events = [event(1, Running, 1), event(2, Completed, 1)];
        assert_eq!(figures(&judge(&events, Completed, 2)), [0, 0, 1]);
    }

    #[test]
    fn an_event_after_a_later_one_is_found() {
        let mut events = retried();
        events.swap(2, 3);
        assert_eq!(figures(&judge(&events, Completed, 6)), [0, 0, 1]);
    }

    #[test]
    fn the_last_kind_decides_what_an_end_is() {
        let mut request = event(3, Running, 1);
        request.kind = EventKind::CancelRequested;
        let events = [event(1, Queued, 0), event(2, Running, 1), request, event(4, Cancelled, 1)];
        assert_eq!(judge(&events, Cancelled, 4), Verdict::default());
    }
}
