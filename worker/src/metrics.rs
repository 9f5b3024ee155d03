//! What a worker counts. Labels are bounded: lanes it serves, tools, outcomes.

use std::time::Duration;

use jetlane_core::domain::{LaneName, Tool};
use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// Seconds, from simulated work in tests to long trainings.
const BUCKETS: [f64; 13] =
    [0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 300.0, 1800.0];

/// What a worker counts. Clones share the counts.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    in_progress: IntGaugeVec,
    attempts: IntCounterVec,
    seconds: HistogramVec,
    claims: IntCounterVec,
    bells: IntCounterVec,
    renewals: IntCounterVec,
}

/// One job in progress, until this is dropped.
#[derive(Debug)]
pub(crate) struct InProgress(IntGauge);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Metrics known to `registry`, of a worker with so many slots.
    ///
    /// # Errors
    ///
    /// If the registry has some of these names already.
    pub(crate) fn new(
        registry: &Registry,
        lanes: &[LaneName],
        slots: u16,
    ) -> Result<Self, prometheus::Error> {
        let count = IntGauge::new("jetlane_worker_slots", "Room for attempts at once")?;
        count.set(slots.into());
        register(registry, count)?;

        let metrics = Self {
            in_progress: register(
                registry,
                IntGaugeVec::new(
                    Opts::new("jetlane_worker_jobs_in_progress", "Attempts that run now"),
                    &["lane", "tool"],
                )?,
            )?,
            attempts: counters(
                registry,
                ["jetlane_worker_attempts_total", "Attempts that ended"],
                &["lane", "tool", "outcome"],
            )?,
            seconds: register(
                registry,
                HistogramVec::new(
                    HistogramOpts::new("jetlane_worker_attempt_seconds", "How long attempts ran")
                        .buckets(BUCKETS.to_vec()),
                    &["lane", "tool"],
                )?,
            )?,
            claims: counters(
                registry,
                ["jetlane_worker_claims_total", "Looks for work"],
                &["lane", "outcome"],
            )?,
            bells: counters(
                registry,
                ["jetlane_worker_bells_total", "Doorbells that were heard"],
                &["lane", "outcome"],
            )?,
            renewals: counters(
                registry,
                ["jetlane_worker_renewals_total", "Renewals of all leases held"],
                &["outcome"],
            )?,
        };
        // A series that begins with its first count hides that count from a rate.
        for outcome in ["done", "failed"] {
            metrics.renewals.with_label_values(&[outcome]);
        }
        for lane in lanes {
            for outcome in ["short", "full", "failed"] {
                metrics.claims.with_label_values(&[lane.as_str(), outcome]);
            }
            for outcome in ["answered", "given_back"] {
                metrics.bells.with_label_values(&[lane.as_str(), outcome]);
            }
            for tool in Tool::ALL {
                metrics.in_progress.with_label_values(&[lane.as_str(), tool.as_str()]).set(0);
            }
        }
        Ok(metrics)
    }

    /// An attempt starts.
    pub(crate) fn start(&self, lane: &LaneName, tool: Tool) -> InProgress {
        let gauge = self.in_progress.with_label_values(&[lane.as_str(), tool.as_str()]);
        gauge.inc();
        InProgress(gauge)
    }

    /// An attempt has ended.
    pub(crate) fn count_attempt(
        &self,
        lane: &LaneName,
        tool: Tool,
        outcome: &'static str,
        duration: Duration,
    ) {
        let labels = [lane.as_str(), tool.as_str()];
        self.attempts.with_label_values(&[labels[0], labels[1], outcome]).inc();
        self.seconds.with_label_values(&labels).observe(duration.as_secs_f64());
    }

    /// A claim was answered, or failed.
    pub(crate) fn count_claim(&self, lane: &LaneName, outcome: &'static str) {
        self.claims.with_label_values(&[lane.as_str(), outcome]).inc();
    }

    /// Bells were heard.
    pub(crate) fn count_bells(&self, lane: &LaneName, outcome: &'static str, count: usize) {
        self.bells.with_label_values(&[lane.as_str(), outcome]).inc_by(count as u64);
    }

    /// Leases were renewed, or could not be.
    pub(crate) fn count_renewal(&self, outcome: &'static str) {
        self.renewals.with_label_values(&[outcome]).inc();
    }
}

fn counters(
    registry: &Registry,
    [name, help]: [&str; 2],
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

#[cfg(test)]
mod tests {
    use jetlane_core::telemetry;

    use super::*;

    #[test]
    fn a_job_is_in_progress_until_its_guard_is_dropped() {
        let registry = Registry::new();
        let lane = LaneName::default();
        let metrics = Metrics::new(&registry, std::slice::from_ref(&lane), 2).unwrap();
        let shown = |value: u8| {
            format!(
                "jetlane_worker_jobs_in_progress{{lane=\"default\",tool=\"simulate\"}} {value}\n"
            )
        };

        let guard = metrics.start(&lane, Tool::Simulate);
        assert!(telemetry::render(&registry).unwrap().contains(&shown(1)));
        drop(guard);
        assert!(telemetry::render(&registry).unwrap().contains(&shown(0)));
    }
}
