//! What came of a demo.

use std::collections::HashMap;

use jetlane_core::domain::{JobId, JobState};
use serde::Serialize;

use super::history::Standing;
use super::latency::Summary;
use super::world::{Phase, World};

/// How many complaints are worth printing.
const COMPLAINTS: usize = 10;

/// What came of a demo. Its JSON is what `jetlane demo --json` prints.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Report {
    accepted: usize,
    completed: usize,
    failed: usize,
    cancelled: usize,
    /// Accepted, but not seen to reach exactly one final state.
    lost: usize,
    /// Submits that were not accepted.
    refused: usize,
    /// Jobs that were tried again.
    retried: usize,
    /// Different events that were read.
    events: usize,
    /// Events that were never read.
    event_gaps: usize,
    /// Events that may not follow the one before.
    illegal_events: usize,
    /// Events that were read again, after a reconnect.
    repeats: usize,
    reconnects: usize,
    /// Events that do not tell when they were committed.
    relayed: usize,
    /// Submitted one at a time: from just before the request to the `running` frame.
    pickup_ms: Summary,
    /// The same where jobs wait for each other.
    backlog_wait_ms: Summary,
    /// From `committed_at` until the frame was read.
    notification_ms: Summary,
    /// From the start of the servers until the last of them had stopped.
    pub(super) duration_ms: f64,
    /// What is wrong, in words.
    pub(super) complaints: Vec<String>,
}

impl Report {
    /// What is known, compared with the `ledger`.
    pub(super) fn of(world: &World, ledger: &HashMap<JobId, Standing>) -> Self {
        let in_state = |state| {
            let jobs = world.accepted.keys();
            jobs.filter(|job| world.history.state(**job) == Some(state)).count()
        };
        let verdict = world.history.judge(world.accepted.keys().copied(), ledger);
        let mut complaints = verdict.complaints;
        complaints.extend(world.refusals.iter().map(|refusal| format!("not accepted: {refusal}")));
        if world.resets > 0 {
            complaints.push(format!("the server forgot {} times where to resume", world.resets));
        }

        Self {
            accepted: world.accepted.len(),
            completed: in_state(JobState::Completed),
            failed: in_state(JobState::Failed),
            cancelled: in_state(JobState::Cancelled),
            lost: verdict.lost,
            refused: world.refusals.len(),
            retried: world.retried.len(),
            events: world.history.len(),
            event_gaps: verdict.event_gaps,
            illegal_events: verdict.illegal_events,
            repeats: world.history.repeats(),
            reconnects: world.reconnects,
            relayed: world.relayed,
            pickup_ms: world.pick_ups(Phase::OneAtATime).summary(),
            backlog_wait_ms: world.pick_ups(Phase::Backlog).summary(),
            notification_ms: world.notifications.summary(),
            duration_ms: 0.0,
            complaints,
        }
    }

    /// Whether all is as it should be.
    pub(super) fn is_sound(&self) -> bool {
        self.complaints.is_empty()
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut lines = vec![
            String::new(),
            format!(
                "{} jobs accepted: {} completed, {} failed, {} cancelled, {} lost; {} were retried",
                self.accepted, self.completed, self.failed, self.cancelled, self.lost, self.retried
            ),
            format!(
                "{} events read: {} missing, {} illegal, {} relayed, {} repeated",
                self.events, self.event_gaps, self.illegal_events, self.relayed, self.repeats
            ),
            String::new(),
            format!("{:<14}{:>7}{:>9}{:>9}{:>9}", "milliseconds", "count", "p50", "p99", "max"),
            row("pick-up", self.pickup_ms, "request sent to `running` read"),
            row("backlog wait", self.backlog_wait_ms, "the same, jobs waiting"),
            row("notification", self.notification_ms, "commit to event read"),
            String::new(),
        ];
        lines.extend(self.complaints.iter().take(COMPLAINTS).map(|text| format!("WRONG: {text}")));
        if self.complaints.len() > COMPLAINTS {
            lines.push(format!("… and {} more", self.complaints.len() - COMPLAINTS));
        }
        if self.is_sound() {
            lines.push("every job reached one final state; nothing is missing".to_owned());
        }
        lines.join("\n")
    }
}

fn row(name: &str, summary: Summary, meaning: &str) -> String {
    let Summary { count, p50, p99, max } = summary;
    let [p50, p99, max] =
        [p50, p99, max].map(|time| time.map_or("-".to_owned(), |ms| format!("{ms:.2}")));
    format!("{name:<14}{count:>7}{p50:>9}{p99:>9}{max:>9}  {meaning}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_promised_fields() {
        let report = serde_json::to_value(Report::default()).unwrap();
        for field in ["accepted", "completed", "failed", "cancelled", "lost", "event_gaps"] {
            assert_eq!(report[field], 0, "{field}");
        }
        for field in ["pickup_ms", "notification_ms"] {
            for percentile in ["p50", "p99", "max"] {
                assert!(report[field].as_object().unwrap().contains_key(percentile));
            }
        }
    }

    #[test]
    fn a_report_fits_a_terminal() {
        let summary = Summary { count: 54, p50: Some(2.5), p99: Some(4.0), max: Some(12_345.67) };
        let report = Report {
            accepted: 96,
            completed: 93,
            failed: 2,
            cancelled: 1,
            pickup_ms: summary,
            ..Report::default()
        };
        assert!(report.text().lines().all(|line| line.chars().count() <= 80), "{}", report.text());
        assert!(report.text().contains("nothing is missing"));
    }

    #[test]
    fn one_complaint_is_enough_to_be_unsound() {
        let report = Report { complaints: vec!["no news".to_owned()], ..Report::default() };
        assert!(!report.is_sound());
        assert!(report.text().contains("WRONG: no news"));
    }

    #[test]
    fn a_refused_submit_is_a_complaint() {
        let mut world = World::new();
        world.refusals.push("embed: no such lane".to_owned());
        assert!(!Report::of(&world, &HashMap::new()).is_sound());
        assert!(Report::of(&World::new(), &HashMap::new()).is_sound());
    }
}
