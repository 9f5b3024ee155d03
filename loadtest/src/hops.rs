//! The way of a notification, from the commit to the watcher.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::feed::Told;
use crate::latency::Latency;

/// The three hops of a notification, of all events, by the clocks of those who made them. All of
/// them must be on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Hops {
    /// From the commit until it was handed to NATS.
    published: Latency,
    /// From there until the edge wrote it to the watcher.
    sent: Latency,
    /// From there until the watcher read it.
    read: Latency,
    /// From the commit until the watcher read it.
    notified: Latency,
}

/// The same in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct HopFigures<T> {
    pub(crate) commit_to_published: T,
    pub(crate) published_to_edge: T,
    pub(crate) edge_to_watcher: T,
    pub(crate) commit_to_watcher: T,
}

impl Hops {
    /// Nothing measured yet.
    pub(crate) fn new() -> Self {
        let [published, sent, read, notified] = std::array::from_fn(|_| Latency::new());
        Self { published, sent, read, notified }
    }

    /// Takes note of an event that was read at `read_at`.
    pub(crate) fn note(&mut self, told: &Told, read_at: SystemTime) {
        let times = [&told.committed_at, &told.published_at, &told.sent_at];
        let [committed, published, sent] = times.map(|time| parsed(time.as_deref()));
        let read_at = Some(DateTime::<Utc>::from(read_at));
        let note = |latency: &mut Latency, from: Option<DateTime<Utc>>, to| {
            if let (Some(from), Some(to)) = (from, to) {
                let span: chrono::TimeDelta = to - from;
                latency.record(span.to_std().unwrap_or_default());
            }
        };
        note(&mut self.published, committed, published);
        note(&mut self.sent, published, sent);
        note(&mut self.read, sent, read_at);
        note(&mut self.notified, committed, read_at);
    }

    /// Adds all of another.
    pub(crate) fn add(&mut self, other: &Self) {
        self.published.add(&other.published);
        self.sent.add(&other.sent);
        self.read.add(&other.read);
        self.notified.add(&other.notified);
    }

    /// Each of them as `figures` shows it.
    pub(crate) fn figures<T>(&self, figures: impl Fn(&Latency) -> T) -> HopFigures<T> {
        HopFigures {
            commit_to_published: figures(&self.published),
            published_to_edge: figures(&self.sent),
            edge_to_watcher: figures(&self.read),
            commit_to_watcher: figures(&self.notified),
        }
    }
}

impl Told {
    /// How long before `read_at` it was committed, as far as it tells.
    pub(crate) fn committed_before(&self, read_at: SystemTime) -> Option<Duration> {
        let span = DateTime::<Utc>::from(read_at) - parsed(self.committed_at.as_deref())?;
        Some(span.to_std().unwrap_or_default())
    }
}

fn parsed(time: Option<&str>) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(time?).ok().map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(json: &str) -> Told {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn each_hop_is_what_lies_between_two_stamps() {
        let read_at = DateTime::parse_from_rfc3339("2026-01-01T00:00:00.010Z").unwrap();
        let mut hops = Hops::new();
        let event = told(
            r#"{"kind": "running", "committed_at": "2026-01-01T00:00:00.001Z",
                "published_at": "2026-01-01T00:00:00.003Z", "sent_at": "2026-01-01T00:00:00.006Z"}"#,
        );
        hops.note(&event, read_at.into());
        // One that NATS did not bring, and one whose clocks disagree.
        hops.note(
            &told(r#"{"kind": "queued", "sent_at": "2026-01-01T00:00:00.011Z"}"#),
            read_at.into(),
        );

        let found = hops.figures(|latency| (latency.count(), latency.summary().max_ms.round()));
        assert_eq!(found.commit_to_published, (1, 2.0));
        assert_eq!(found.published_to_edge, (1, 3.0));
        assert_eq!(found.edge_to_watcher, (2, 4.0));
        assert_eq!(found.commit_to_watcher, (1, 9.0));
    }
}
