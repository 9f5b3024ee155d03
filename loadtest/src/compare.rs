//! How two runs differ, and how sure that is.

use std::fmt::Write;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::load::Second;
use crate::report::Report;

/// How often the samples are drawn anew.
const DRAWS: usize = 2_000;

/// Of so many draws out of a hundred the interval holds the result.
const CONFIDENCE: f64 = 0.95;

/// Of fewer samples the interval of a bootstrap is too narrow: it holds the truth less often than it says.
const FEWEST: usize = 5;

/// A figure of a second.
type OfSecond = fn(&Second) -> f64;

/// A figure of two runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Difference {
    what: String,
    before: f64,
    after: f64,
    /// By what factor it changed, from and to, with [`CONFIDENCE`]; none if a run has fewer than
    /// [`FEWEST`] samples of it.
    interval: Option<(f64, f64)>,
    is_less_better: bool,
}

impl Difference {
    /// Whether it became worse by more than the tolerance, a share, for sure.
    pub(crate) fn is_worse(&self, tolerance: f64) -> bool {
        self.interval.is_some_and(|(low, high)| {
            if self.is_less_better { low > 1.0 + tolerance } else { high < 1.0 / (1.0 + tolerance) }
        })
    }
}

/// All figures that both runs have. The samples of a figure are its values in each second or
/// round: those of one second belong together too much to count each for itself. How a whole run
/// differs from another of the same program, its seconds do not tell.
///
/// The interval is that of the percentile bootstrap: medians of samples drawn with replacement.
pub(crate) fn compare(before: &Report, after: &Report) -> Vec<Difference> {
    // Chance may not decide whether a comparison fails: it is the same each time.
    let mut rng = StdRng::seed_from_u64(0);
    let mut found = Vec::new();
    let mut add = |what: String, before: &[f64], after: &[f64], is_less_better| {
        if before.is_empty() || after.is_empty() {
            return;
        }
        let interval = (before.len() >= FEWEST && after.len() >= FEWEST).then(|| {
            let mut factors: Vec<_> = (0..DRAWS)
                .map(|_| median(draw(after, &mut rng)) / median(draw(before, &mut rng)))
                .collect();
            factors.sort_by(f64::total_cmp);
            let at = |share: f64| factors[rank(share, factors.len())];
            (at((1.0 - CONFIDENCE) / 2.0), at(f64::midpoint(1.0, CONFIDENCE)))
        });
        let (before, after) = (median(before.to_vec()), median(after.to_vec()));
        found.push(Difference { what, before, after, interval, is_less_better });
    };

    for old in &before.paces {
        let same = after.paces.iter().find(|new| new.per_s.total_cmp(&old.per_s).is_eq());
        if let (Some(old_pace), Some(new)) =
            (&old.jetlane, same.and_then(|new| new.jetlane.as_ref()))
        {
            let name = |what| format!("at {}/s, {what}, × the floor", old.per_s);
            let p50 =
                |rounds: &[(f64, f64)]| rounds.iter().map(|round| round.0).collect::<Vec<_>>();
            let p99 =
                |rounds: &[(f64, f64)]| rounds.iter().map(|round| round.1).collect::<Vec<_>>();
            add(name("p50"), &p50(&old_pace.rounds), &p50(&new.rounds), true);
            add(name("p99"), &p99(&old_pace.rounds), &p99(&new.rounds), true);
        }
    }
    if let (Some(old), Some(new)) = (&before.saturation, &after.saturation) {
        add("flat out, completed, × the floor".to_owned(), &old.rounds, &new.rounds, false);
    }
    if let (Some(old), Some(new)) = (&before.load, &after.load) {
        let figures: [(&str, OfSecond); 4] = [
            ("done, p50, ms", |second| second.done_p50_ms),
            ("done, p99, ms", |second| second.done_p99_ms),
            ("told that it runs, p50, ms", |second| second.running_p50_ms),
            ("told that it runs, p99, ms", |second| second.running_p99_ms),
        ];
        for (what, of) in figures {
            let values = |seconds: &[Second]| {
                seconds.iter().map(of).filter(|ms| *ms > 0.0).collect::<Vec<_>>()
            };
            add(what.to_owned(), &values(&old.seconds), &values(&new.seconds), true);
        }
    }
    found
}

/// The differences as lines of text.
pub(crate) fn text(differences: &[Difference], tolerance: f64) -> String {
    let mut text = format!("{:<36} {:>10} {:>10}   change, 95 %\n", "", "before", "after");
    for found in differences {
        let percent = |factor: f64| (factor - 1.0) * 100.0;
        // Writing to a string cannot fail.
        let _ = write!(text, "{:<36} {:>10.3} {:>10.3}   ", found.what, found.before, found.after);
        let _ = match found.interval {
            Some((low, high)) => write!(text, "{:+.1} to {:+.1} %", percent(low), percent(high)),
            None => write!(
                text,
                "{:+.1} %, too few rounds to be sure",
                percent(found.after / found.before)
            ),
        };
        text.push_str(if found.is_worse(tolerance) { "   worse\n" } else { "\n" });
    }
    text
}

fn draw(samples: &[f64], rng: &mut StdRng) -> Vec<f64> {
    (0..samples.len()).map(|_| samples[rng.random_range(0..samples.len())]).collect()
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    if samples.len().is_multiple_of(2) {
        f64::midpoint(samples[middle - 1], samples[middle])
    } else {
        samples[middle]
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of some thousand draws"
)]
fn rank(share: f64, count: usize) -> usize {
    ((count - 1) as f64 * share).round() as usize
}

#[cfg(test)]
mod tests {
    use crate::report::Saturation;

    use super::*;

    fn flat_out(rounds: &[f64]) -> Report {
        let saturation = Saturation { rounds: rounds.to_vec(), ..Saturation::default() };
        Report { saturation: Some(saturation), ..Report::default() }
    }

    #[test]
    fn the_same_run_is_not_worse() {
        let report = flat_out(&[1.0, 1.1, 0.9, 1.0, 1.05]);
        let [found] = compare(&report, &report).try_into().unwrap();
        let (low, high) = found.interval.unwrap();
        assert!(low < 1.0 && high > 1.0 && !found.is_worse(0.0), "{found:?}");
    }

    #[test]
    fn half_as_much_is_worse_for_sure() {
        let before = flat_out(&[1.0, 1.1, 0.9, 1.0, 1.05]);
        let after = flat_out(&[0.5, 0.55, 0.45, 0.5, 0.52]);
        let [found] = compare(&before, &after).try_into().unwrap();
        assert!(found.is_worse(0.1), "{found:?}");
        let [found] = compare(&after, &before).try_into().unwrap();
        assert!(!found.is_worse(0.1), "more is better: {found:?}");
        assert!(text(&[found], 0.1).contains('+'));
    }

    #[test]
    fn of_a_few_rounds_each_nothing_is_sure() {
        let [found] = compare(&flat_out(&[1.0; 4]), &flat_out(&[0.1; 4])).try_into().unwrap();
        assert!(found.interval.is_none() && !found.is_worse(0.1));
    }

    #[test]
    fn what_only_one_run_has_is_not_compared() {
        assert_eq!(compare(&flat_out(&[1.0]), &Report::default()), []);
    }
}
