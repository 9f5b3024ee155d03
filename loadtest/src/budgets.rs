//! What a run may not exceed.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use crate::report::Report;

/// The budgets that come with this program.
const OURS: &str = include_str!("../budgets.toml");

/// Up to so many jobs per second nothing waits for a processor.
const CALM: f64 = 100.0;

/// Limits. What has none is not limited.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Budgets {
    pace: Pace,
    saturation: Saturation,
    load: Load,
}

/// Of each rate.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Pace {
    /// Multiples of the floor.
    p50_floors: Limit,
    /// The same of rates up to [`CALM`] only.
    calm_p50_floors: Limit,
    p99_floors: Limit,
    refused_jobs: Limit,
    untold_jobs: Limit,
    cpu_ms_per_job: Limit,
}

/// Of a run flat out.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Saturation {
    /// A multiple of the floor.
    completed_floors: Limit,
    completed_per_s: Limit,
    cpu_ms_per_job: Limit,
}

/// Of scenarios.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Load {
    failed_arrivals: Limit,
    failed_jobs: Limit,
    untold_jobs: Limit,
    broken_streams: Limit,
    lateness_p99_ms: Limit,
    accepted_p99_ms: Limit,
    running_p50_ms: Limit,
    running_p99_ms: Limit,
    delivered_p99_ms: Limit,
}

/// What a figure must lie within.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limit {
    at_least: Option<f64>,
    at_most: Option<f64>,
}

impl Budgets {
    /// The budgets that come with this program.
    ///
    /// # Errors
    ///
    /// If they are wrong, which a test makes sure they are not.
    pub(crate) fn ours() -> anyhow::Result<Self> {
        Ok(toml::from_str(OURS)?)
    }

    /// The budgets of a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or has what is no budget.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        toml::from_str(&text).with_context(|| format!("wrong budgets in {}", file.display()))
    }

    /// The budgets that the run exceeded, each in words.
    pub(crate) fn exceeded(&self, report: &Report) -> Vec<String> {
        let mut exceeded = Vec::new();
        let mut check = |part: &str, figures: &[(&str, f64, Limit)]| {
            for (what, found, limit) in figures {
                exceeded.extend(limit.exceeded(*found).map(|why| format!("{part}, {what}: {why}")));
            }
        };
        for pace in &report.paces {
            let Some(found) = &pace.jetlane else { continue };
            let figures = [
                ("p50_floors", found.p50_to_floor, self.pace.p50_floors),
                ("p99_floors", found.p99_to_floor, self.pace.p99_floors),
                ("refused_jobs", count(found.refused), self.pace.refused_jobs),
                ("untold_jobs", count(found.untold), self.pace.untold_jobs),
                ("cpu_ms_per_job", found.cpu_ms_per_job, self.pace.cpu_ms_per_job),
            ];
            check(&format!("pace at {}/s", pace.per_s), &figures);
            if pace.per_s <= CALM {
                let calm = ("calm_p50_floors", found.p50_to_floor, self.pace.calm_p50_floors);
                check(&format!("pace at {}/s", pace.per_s), &[calm]);
            }
        }
        // The floor alone completes nothing.
        let saturation = report.saturation.as_ref().filter(|found| found.completed_per_s > 0.0);
        if let Some(found) = saturation {
            let figures = [
                ("completed_floors", found.completed_to_floor, self.saturation.completed_floors),
                ("completed_per_s", found.completed_per_s, self.saturation.completed_per_s),
                ("cpu_ms_per_job", found.cpu_ms_per_job_in_all, self.saturation.cpu_ms_per_job),
            ];
            check("saturation", &figures);
        }
        if let Some(found) = &report.load {
            let figures = [
                ("failed_arrivals", count(found.failed), self.load.failed_arrivals),
                ("failed_jobs", count(found.failed_jobs), self.load.failed_jobs),
                ("untold_jobs", count(found.untold_jobs), self.load.untold_jobs),
                ("broken_streams", count(found.broken_streams), self.load.broken_streams),
                ("lateness_p99_ms", found.lateness.summary.p99_ms, self.load.lateness_p99_ms),
                ("accepted_p99_ms", found.accepted.summary.p99_ms, self.load.accepted_p99_ms),
                ("running_p50_ms", found.running.summary.p50_ms, self.load.running_p50_ms),
                ("running_p99_ms", found.running.summary.p99_ms, self.load.running_p99_ms),
            ];
            check("load", &figures);
            if let Some(delivered) = &found.delivered {
                let limit = self.load.delivered_p99_ms;
                check("load", &[("delivered_p99_ms", delivered.summary.p99_ms, limit)]);
            }
        }
        exceeded
    }
}

impl Limit {
    /// Why the figure is not within its limits; what is no number never is.
    fn exceeded(self, found: f64) -> Option<String> {
        match self {
            Self { at_most: Some(limit), .. } if found.is_nan() || found > limit => {
                Some(format!("{found:.3}, at most {limit}"))
            }
            Self { at_least: Some(limit), .. } if found.is_nan() || found < limit => {
                Some(format!("{found:.3}, at least {limit}"))
            }
            _ => None,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^52 jobs")]
fn count(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use crate::report::{self, JetlanePace};

    use super::*;

    fn paced(p50_to_floor: f64, untold: u64) -> Report {
        let jetlane = JetlanePace { untold, p50_to_floor, ..JetlanePace::default() };
        let pace = report::Pace { per_s: 50.0, jetlane: Some(jetlane), ..report::Pace::default() };
        Report { paces: vec![pace], ..Report::default() }
    }

    fn kept(report: &str) -> Report {
        serde_json::from_str(report).unwrap()
    }

    /// By the figures that are committed.
    #[test]
    fn twice_as_slow_exceeds_our_budgets() {
        let ours = Budgets::ours().unwrap();
        let mut report = kept(include_str!("../../docs/reports/2026-11-29-pace.json"));
        assert_eq!(ours.exceeded(&report), [""; 0]);
        for pace in &mut report.paces {
            pace.jetlane.as_mut().unwrap().p50_to_floor *= 2.0;
        }
        assert_eq!(ours.exceeded(&report).len(), 2);

        let mut report = kept(include_str!("../../docs/reports/2026-11-29-saturate.json"));
        assert_eq!(ours.exceeded(&report), [""; 0]);
        report.saturation.as_mut().unwrap().completed_to_floor /= 2.0;
        assert_eq!(ours.exceeded(&report).len(), 1);
    }

    #[test]
    fn each_budget_that_is_exceeded_is_named() {
        let text = "pace.p50_floors.at_most = 3.0\npace.untold_jobs.at_most = 0.0";
        let budgets: Budgets = toml::from_str(text).unwrap();
        assert_eq!(
            budgets.exceeded(&paced(4.0, 2)),
            [
                "pace at 50/s, p50_floors: 4.000, at most 3",
                "pace at 50/s, untold_jobs: 2.000, at most 0"
            ]
        );
        assert_eq!(budgets.exceeded(&paced(f64::NAN, 0)).len(), 1, "no figure is no pass");
    }

    #[test]
    fn too_little_exceeds_a_budget_as_well() {
        let text = "saturation.completed_per_s.at_least = 100.0";
        let budgets: Budgets = toml::from_str(text).unwrap();
        let saturation =
            report::Saturation { completed_per_s: 99.0, ..report::Saturation::default() };
        let report = Report { saturation: Some(saturation), ..Report::default() };
        assert_eq!(budgets.exceeded(&report).len(), 1);
    }

    #[test]
    fn a_budget_that_is_not_known_is_an_error() {
        assert!(toml::from_str::<Budgets>("pace.p50_ratio.at_most = 3.0").is_err());
    }
}
