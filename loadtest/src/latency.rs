//! How long things took.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Kept to three digits.
const DIGITS: u8 = 3;

/// Nothing that is measured takes longer; what does counts as this.
const LONGEST: Duration = Duration::from_mins(10);

/// A curve has so many points for each halving of what is left.
const TICKS: u32 = 4;

/// Where a curve ends.
const LAST_QUANTILE: f64 = 0.9999;

/// Times to the microsecond, with all their percentiles.
#[derive(Clone, Debug)]
pub(crate) struct Latency(Histogram<u64>);

impl Latency {
    /// Nothing measured yet.
    pub(crate) fn new() -> Self {
        // The arguments are constants that the library takes.
        Self(match Histogram::new_with_bounds(1, micros(LONGEST), DIGITS) {
            Ok(histogram) => histogram,
            Err(error) => unreachable!("{error}"),
        })
    }

    /// Adds one time.
    pub(crate) fn record(&mut self, time: Duration) {
        self.0.saturating_record(micros(time));
    }

    /// Adds one time, so often.
    pub(crate) fn record_many(&mut self, time: Duration, count: u64) {
        self.0.saturating_record_n(micros(time), count);
    }

    /// How many times were added.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// Adds all of another.
    pub(crate) fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    /// What it comes to, with its curve.
    pub(crate) fn distribution(&self) -> Distribution {
        let points = self.0.iter_quantiles(TICKS);
        let mut curve: Vec<_> = points
            .map(|point| (point.quantile_iterated_to(), ms(point.value_iterated_to())))
            .take_while(|(quantile, _)| *quantile < LAST_QUANTILE)
            .collect();
        if !curve.is_empty() {
            curve.push((LAST_QUANTILE, ms(self.0.value_at_quantile(LAST_QUANTILE))));
        }
        Distribution { summary: self.summary(), curve }
    }

    /// What it comes to.
    pub(crate) fn summary(&self) -> Summary {
        let at = |quantile| ms(self.0.value_at_quantile(quantile));
        Summary {
            count: self.0.len(),
            mean_ms: self.0.mean() / 1e3,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            p9999_ms: at(0.9999),
            max_ms: ms(self.0.max()),
        }
    }
}

/// A distribution of times, to be drawn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Distribution {
    pub(crate) summary: Summary,
    /// Points of its curve, each a quantile and its time in milliseconds, denser towards 1.
    pub(crate) curve: Vec<(f64, f64)>,
}

/// The figures of a distribution of times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) mean_ms: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) p9999_ms: f64,
    pub(crate) max_ms: f64,
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "microseconds up to minutes are exact")]
fn ms(micros: u64) -> f64 {
    micros as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_milliseconds() {
        let mut latency = Latency::new();
        for n in 1..=1_000 {
            latency.record(Duration::from_micros(n * 10));
        }
        let summary = latency.summary();
        assert_eq!(summary.count, 1_000);
        assert!((summary.p50_ms - 5.0).abs() < 0.02, "{summary:?}");
        assert!((summary.p99_ms - 9.9).abs() < 0.02, "{summary:?}");
        assert!((summary.mean_ms - 5.005).abs() < 0.02, "{summary:?}");
    }

    #[test]
    fn a_curve_rises_to_the_last_of_ten_thousand() {
        let mut latency = Latency::new();
        for n in 1..=20_000 {
            latency.record(Duration::from_micros(n));
        }
        let curve = latency.distribution().curve;
        assert!(curve.is_sorted(), "{curve:?}");
        let (quantile, ms) = *curve.last().unwrap();
        assert!((quantile - 0.9999).abs() < 1e-9 && ms > 19.9, "{quantile} {ms}");
        assert!(curve.len() < 100);
    }

    #[test]
    fn what_takes_for_ever_counts_as_the_longest() {
        let mut latency = Latency::new();
        latency.record(Duration::MAX);
        assert!(latency.summary().max_ms >= 600_000.0);
    }
}
