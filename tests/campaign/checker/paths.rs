//! C: a job's events are numbered 1, 2, 3, … and tell of a life that the rules
//! allow.

use super::ledger::{Event, Job, Ledger};
use crate::violations::{Invariant, Violation};

/// Where a job stands after an event, as far as the rules ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Scheduled,
    Queued,
    Running {
        /// Its end was asked for.
        is_ending: bool,
    },
    Completed,
    Failed,
    Cancelled,
}

impl Stand {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running { .. } => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Every violation of a job's path.
pub(super) fn check(ledger: &Ledger) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (id, events) in &ledger.events {
        if let Err(what) = walk(events) {
            let path: Vec<_> = events.iter().map(|e| format!("{}:{}", e.seq, e.kind)).collect();
            let what = format!("{what} in {}", path.join(" "));
            violations.push(Violation::of(Invariant::Events, *id, what));
        }
        if !ledger.jobs.contains_key(id) {
            violations.push(Violation::of(Invariant::Events, *id, "it has events and no row"));
        }
    }
    for job in ledger.jobs.values() {
        if let Some(what) = disagreement(job, ledger.events_of(job.id)) {
            violations.push(Violation::of(Invariant::Events, job.id, what));
        }
    }
    violations
}

/// Walks through a job's events; an error says where the rules were left.
fn walk(events: &[Event]) -> Result<(), String> {
    let mut stand = None;
    let (mut attempt, mut xid) = (0, 0);
    for (event, seq) in events.iter().zip(1..) {
        let at = |what: &str| format!("{what} at event {seq} ({})", event.kind);
        if event.seq != seq {
            return Err(format!("event {seq} is missing; the next is {}", event.seq));
        }
        let next = next(stand, event).ok_or_else(|| at("there is no such transition"))?;
        if event.state != next.as_str() {
            return Err(at(&format!("the state is {} and must be {}", event.state, next.as_str())));
        }
        let begins = event.kind == "running";
        if event.attempt != attempt + i32::from(begins) {
            return Err(at(&format!("attempt {} follows {attempt}", event.attempt)));
        }
        if event.xid < xid {
            return Err(at("its transaction is older than the one before"));
        }
        (stand, attempt, xid) = (Some(next), event.attempt, event.xid);
    }
    Ok(())
}

/// Where a job stands after an event, if the rules allow it.
fn next(stand: Option<Stand>, event: &Event) -> Option<Stand> {
    use Stand::{Cancelled, Completed, Failed, Queued, Running, Scheduled};

    Some(match (stand, event.kind.as_str()) {
        (None | Some(Scheduled), "queued") | (Some(Running { is_ending: false }), "released") => {
            Queued
        }
        (None | Some(Running { is_ending: false }), "scheduled") => Scheduled,
        (Some(Scheduled), "updated") if event.state == "queued" => Queued,
        (Some(Queued), "updated") if event.state == "scheduled" => Scheduled,
        (Some(stand @ (Scheduled | Queued)), "updated") => stand,
        (Some(Queued), "running") => Running { is_ending: false },
        (Some(Failed), "redriven") => Queued,
        (Some(Running { is_ending: false }), "cancel_requested") => Running { is_ending: true },
        (Some(Running { .. }), "completed") => Completed,
        (Some(Running { .. }), "failed") => Failed,
        (Some(Scheduled | Queued | Running { is_ending: true }), "cancelled") => Cancelled,
        _ => return None,
    })
}

/// What a job's row says and its last event does not, if anything.
fn disagreement(job: &Job, events: &[Event]) -> Option<String> {
    let Some(last) = events.last() else {
        return Some("it has no event".to_owned());
    };
    let row = (job.event_seq, job.state.as_str(), job.attempt);
    let told = (last.seq, last.state.as_str(), last.attempt);
    (row != told).then(|| format!("its row says {row:?} and its last event {told:?}"))
}

#[cfg(test)]
mod tests {
    use super::super::given::{event, job, ledger_of, ledger_with, plain_life};
    use super::*;

    /// The events of these kinds, each with its attempt.
    fn life(kinds: &[(&str, i32)]) -> Vec<Event> {
        let job = job(0, "completed");
        let events = (1..).zip(kinds).map(|(seq, (kind, attempt))| {
            let state = match *kind {
                "released" | "redriven" => "queued",
                "cancel_requested" => "running",
                kind => kind,
            };
            Event { state: state.to_owned(), ..event(&job, seq, kind, *attempt) }
        });
        events.collect()
    }

    #[test]
    fn lives_that_the_rules_allow_are_well() {
        for kinds in [
            &[("queued", 0), ("running", 1), ("completed", 1)][..],
            &[("scheduled", 0), ("queued", 0), ("running", 1), ("failed", 1)],
            &[("queued", 0), ("running", 1), ("released", 1), ("running", 2), ("completed", 2)],
            &[("queued", 0), ("running", 1), ("scheduled", 1), ("queued", 1), ("cancelled", 1)],
            &[("queued", 0), ("running", 1), ("cancel_requested", 1), ("cancelled", 1)],
            &[("queued", 0), ("running", 1), ("failed", 1), ("redriven", 1), ("running", 2)],
        ] {
            assert_eq!(walk(&life(kinds)), Ok(()), "{kinds:?}");
        }
    }

    #[test]
    fn lives_that_leave_the_rules_are_noticed() {
        for kinds in [
            &[("running", 1)][..],
            &[("queued", 0), ("completed", 0)],
            &[("queued", 0), ("running", 1), ("running", 2)],
            &[("queued", 0), ("running", 2)],
            &[("queued", 0), ("running", 1), ("cancelled", 1)],
            &[("queued", 0), ("running", 1), ("completed", 1), ("completed", 1)],
            &[("queued", 0), ("running", 1), ("failed", 1), ("queued", 1)],
            &[("queued", 0), ("running", 1), ("cancel_requested", 1), ("released", 1)],
        ] {
            assert!(walk(&life(kinds)).is_err(), "{kinds:?}");
        }
    }

    #[test]
    fn a_gap_is_noticed() {
        let job = job(0, "completed");
        let mut events = plain_life(&job, 1);
        events.remove(1);
        assert_eq!(check(&ledger_with(job, events)).len(), 1);
    }

    #[test]
    fn a_row_that_is_ahead_of_its_events_is_noticed() {
        let job = Job { event_seq: 4, ..job(0, "completed") };
        assert_eq!(check(&ledger_of(vec![job])).len(), 1);
    }
}
