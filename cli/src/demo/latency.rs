//! Latencies and their percentiles.

use std::time::Duration;

use serde::Serialize;

/// Measured times, in any order.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples(Vec<Duration>);

/// What is told of samples, in milliseconds; null if there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) count: usize,
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
    pub(super) max: Option<f64>,
}

impl Samples {
    pub(super) fn add(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// Percentiles by nearest rank: each is a time that was measured.
    pub(super) fn summary(&self) -> Summary {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).map(|sample| milliseconds(*sample))
        };
        Summary { count: sorted.len(), p50: at(50), p99: at(99), max: at(100) }
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<T: IntoIterator<Item = Duration>>(samples: T) -> Self {
        Self(samples.into_iter().collect())
    }
}

/// With three decimals: microseconds.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_times() {
        let samples: Samples = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(
            samples.summary(),
            Summary { count: 200, p50: Some(100.0), p99: Some(198.0), max: Some(200.0) }
        );
    }

    #[test]
    fn few_samples_have_percentiles_too() {
        let one: Samples = [Duration::from_micros(1_234)].into_iter().collect();
        let time = Some(1.234);
        assert_eq!(one.summary(), Summary { count: 1, p50: time, p99: time, max: time });
        assert_eq!(Samples::default().summary(), Summary::default());
    }
}
