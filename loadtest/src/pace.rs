//! Arrivals that come when they are due, whether or not those before were served.
//!
//! Who measures from [`Arrival::due`] and not from when a client was free sees what users see: a
//! server that stalls makes everybody wait who would have come meanwhile (coordinated omission).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// A stretch of time in which arrivals come at a rate that goes evenly from one to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stage {
    /// Arrivals per second at its start.
    pub(crate) from: f64,
    /// Arrivals per second at its end.
    pub(crate) to: f64,
    /// How long it lasts.
    pub(crate) span: Duration,
}

impl Stage {
    /// The same rate all the time.
    pub(crate) const fn steady(rate: f64, span: Duration) -> Self {
        Self { from: rate, to: rate, span }
    }

    fn arrivals(self) -> f64 {
        f64::midpoint(self.from, self.to) * self.span.as_secs_f64()
    }

    /// How long after its start so many arrivals have come.
    fn time_of(self, arrivals: f64) -> Duration {
        let growth = (self.to - self.from) / self.span.as_secs_f64();
        let seconds = if growth.abs() < 1e-9 {
            arrivals / self.from
        } else {
            ((self.from * self.from + 2.0 * growth * arrivals).max(0.0).sqrt() - self.from) / growth
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(self.span)
    }
}

/// When arrivals are due.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule(Vec<Stage>);

impl Schedule {
    /// One stage after the other.
    pub(crate) fn new(stages: Vec<Stage>) -> Self {
        Self(stages)
    }

    /// How many arrivals there are.
    pub(crate) fn count(&self) -> u64 {
        let arrivals: f64 = self.0.iter().map(|stage| stage.arrivals()).sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let mut count = arrivals.round() as u64;
        // Stages add up to whole numbers but for rounding: the last arrival decides.
        while self.due(count).is_some() {
            count += 1;
        }
        while count > 0 && self.due(count - 1).is_none() {
            count -= 1;
        }
        count
    }

    /// How long after the start arrival `n`, from 0, is due; `None` after the last.
    pub(crate) fn due(&self, n: u64) -> Option<Duration> {
        #[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^52 arrivals")]
        let mut left = n as f64;
        let mut start = Duration::ZERO;
        for stage in &self.0 {
            let arrivals = stage.arrivals();
            if left < arrivals {
                return Some(start + stage.time_of(left));
            }
            left -= arrivals;
            start += stage.span;
        }
        None
    }
}

/// One arrival.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Its number, from 0.
    pub(crate) n: u64,
    /// When it should be served.
    pub(crate) due: Instant,
}

/// The arrivals of a schedule, for as many clients as share this.
#[derive(Debug)]
pub(crate) struct Arrivals {
    schedule: Schedule,
    start: OnceLock<Instant>,
    next: AtomicU64,
    permits: Semaphore,
}

impl Arrivals {
    /// Arrivals of a schedule that begins later; none comes before.
    pub(crate) fn new(schedule: Schedule) -> Arc<Self> {
        Arc::new(Self {
            schedule,
            start: OnceLock::new(),
            next: AtomicU64::new(0),
            permits: Semaphore::new(0),
        })
    }

    /// Begins the schedule now, unless it has begun.
    ///
    /// A thread of its own lets arrivals in: timers of the runtime are good to a millisecond only.
    /// It ends with the schedule, or once nobody shares this any more.
    pub(crate) fn begin(self: &Arc<Self>) {
        let start = Instant::now();
        if self.start.set(start).is_err() {
            return;
        }
        let shared = Arc::downgrade(self);
        thread::spawn(move || {
            for n in 0.. {
                let Some(arrivals) = shared.upgrade() else { return };
                let Some(due) = arrivals.schedule.due(n) else { return };
                if Arc::strong_count(&arrivals) == 1 {
                    return;
                }
                thread::sleep((start + due).saturating_duration_since(Instant::now()));
                arrivals.permits.add_permits(1);
            }
        });
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.schedule.count()
    }

    /// When the schedule began; before that, now.
    pub(crate) fn start(&self) -> Instant {
        self.start.get().copied().unwrap_or_else(Instant::now)
    }

    /// When arrival `n` is due; `None` after the last.
    pub(crate) fn due(&self, n: u64) -> Option<Instant> {
        Some(self.start() + self.schedule.due(n)?)
    }

    /// Waits for the next arrival that no other client takes; `None` after the last.
    pub(crate) async fn next(&self) -> Option<Arrival> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        self.schedule.due(n)?;
        self.permits.acquire().await.ok()?.forget();
        Some(Arrival { n, due: self.due(n)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn due_ms(schedule: &Schedule, n: u64) -> Option<u128> {
        schedule.due(n).map(|due| due.as_millis())
    }

    #[test]
    fn arrivals_of_a_steady_rate_are_evenly_spaced() {
        let schedule = Schedule::new(vec![Stage::steady(4.0, 2 * SECOND)]);
        let due: Vec<_> = (0..9).map(|n| due_ms(&schedule, n)).collect();
        let expected = [0, 250, 500, 750, 1000, 1250, 1500, 1750].map(Some);
        assert_eq!(due, [&expected[..], &[None]].concat());
        assert_eq!(schedule.count(), 8);
    }

    #[test]
    fn a_ramp_begins_slowly_and_ends_fast() {
        let schedule = Schedule::new(vec![Stage { from: 0.0, to: 100.0, span: 2 * SECOND }]);
        assert_eq!(due_ms(&schedule, 25), Some(1_000), "a quarter in the first half");
        assert_eq!(due_ms(&schedule, 99), Some(1_989));
        assert_eq!(due_ms(&schedule, 100), None);
        assert_eq!(schedule.count(), 100);
    }

    #[test]
    fn stages_follow_each_other() {
        let schedule =
            Schedule::new(vec![Stage::steady(10.0, SECOND), Stage::steady(100.0, SECOND)]);
        assert_eq!(due_ms(&schedule, 9), Some(900));
        assert_eq!(due_ms(&schedule, 10), Some(1_000));
        assert_eq!(due_ms(&schedule, 109), Some(1_990));
    }

    #[tokio::test]
    async fn every_arrival_is_given_once_and_not_before_it_is_due() {
        let arrivals = Arrivals::new(Schedule::new(vec![Stage::steady(1e4, SECOND / 100)]));
        arrivals.begin();
        let mut numbers = Vec::new();
        while let Some(Arrival { n, due }) = arrivals.next().await {
            assert!(Instant::now() >= due);
            numbers.push(n);
        }
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    }
}
