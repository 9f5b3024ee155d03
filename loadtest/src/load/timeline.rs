//! What happened in each second of a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A run's seconds while they are filled. What is late counts in the second in which it was due.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline(Vec<Samples>);

#[derive(Clone, Debug, Default)]
struct Samples {
    due: u64,
    failed: u64,
    done: Vec<Duration>,
    running: Vec<Duration>,
}

/// One second of a run, in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Second {
    /// How many were before it.
    pub(crate) n: usize,
    /// Arrivals that were due.
    pub(crate) due: u64,
    /// Those of them that failed.
    pub(crate) failed: u64,
    /// From due to done, of the others.
    pub(crate) done_p50_ms: f64,
    pub(crate) done_p99_ms: f64,
    /// From due until a watcher was told that the job runs.
    pub(crate) running_p50_ms: f64,
    pub(crate) running_p99_ms: f64,
}

impl Timeline {
    pub(super) fn note_due(&mut self, second: usize) {
        self.at(second).due += 1;
    }

    /// Notes that an arrival was served, or failed if it took no time.
    pub(super) fn note_done(&mut self, second: usize, took: Option<Duration>) {
        match took {
            Some(took) => self.at(second).done.push(took),
            None => self.at(second).failed += 1,
        }
    }

    pub(super) fn note_running(&mut self, second: usize, took: Duration) {
        self.at(second).running.push(took);
    }

    /// All seconds, in their order.
    pub(super) fn seconds(self) -> Vec<Second> {
        self.0
            .into_iter()
            .enumerate()
            .map(|(n, mut samples)| {
                samples.done.sort_unstable();
                samples.running.sort_unstable();
                Second {
                    n,
                    due: samples.due,
                    failed: samples.failed,
                    done_p50_ms: quantile_ms(&samples.done, 0.5),
                    done_p99_ms: quantile_ms(&samples.done, 0.99),
                    running_p50_ms: quantile_ms(&samples.running, 0.5),
                    running_p99_ms: quantile_ms(&samples.running, 0.99),
                }
            })
            .collect()
    }

    fn at(&mut self, second: usize) -> &mut Samples {
        if self.0.len() <= second {
            self.0.resize_with(second + 1, Samples::default);
        }
        &mut self.0[second]
    }
}

/// The least time that so large a part of the sorted times does not exceed; 0 of none.
fn quantile_ms(sorted: &[Duration], quantile: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the samples of one second"
    )]
    let rank = (sorted.len() as f64 * quantile).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_own_percentiles() {
        let mut timeline = Timeline::default();
        for ms in 1..=100 {
            timeline.note_due(1);
            timeline.note_done(1, Some(Duration::from_millis(ms)));
        }
        timeline.note_due(1);
        timeline.note_done(1, None);
        timeline.note_running(0, Duration::from_millis(7));

        let [first, second] = timeline.seconds().try_into().unwrap();

        assert_eq!((first.due, first.running_p50_ms, first.running_p99_ms), (0, 7.0, 7.0));
        assert_eq!((second.n, second.due, second.failed), (1, 101, 1));
        assert_eq!((second.done_p50_ms, second.done_p99_ms), (50.0, 99.0));
    }
}
