//! What grows during a load, and how fast: a leak shows in half an hour.

use serde::{Deserialize, Serialize};

use super::figures::UsageAt;

/// How something changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Slope {
    /// What, and in which unit.
    pub(crate) what: String,
    /// Where it began and ended, by the line.
    pub(crate) first: f64,
    pub(crate) last: f64,
    /// The steepness of the line.
    pub(crate) per_hour: f64,
}

/// A figure of a sample.
type Of = fn(&UsageAt) -> f64;

/// In less time, nothing can be told from noise.
const SHORTEST_S: f64 = 60.0;

/// The line of least squares through each figure of the second half: in the first, caches fill.
/// Empty if that half is shorter than a minute.
pub(crate) fn slopes(usage: &[UsageAt]) -> Vec<Slope> {
    let settled = &usage[usage.len() / 2..];
    let [first, .., last] = settled else { return Vec::new() };
    if last.at_s - first.at_s < SHORTEST_S {
        return Vec::new();
    }
    FIGURES
        .iter()
        .map(|(what, of)| {
            let points: Vec<_> = settled.iter().map(|at| (at.at_s, of(at))).collect();
            line(what, &points)
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "sizes and counts of one machine")]
const FIGURES: [(&str, Of); 12] = [
    ("edge, memory, MB", |at| at.used.edge.memory_bytes as f64 / 1e6),
    ("worker, memory, MB", |at| at.used.worker.memory_bytes as f64 / 1e6),
    ("PostgreSQL, memory, MB", |at| at.used.postgres.memory_bytes as f64 / 1e6),
    ("NATS, memory, MB", |at| at.used.nats.memory_bytes as f64 / 1e6),
    ("edge, descriptors", |at| at.used.edge.descriptors as f64),
    ("worker, descriptors", |at| at.used.worker.descriptors as f64),
    ("PostgreSQL, descriptors", |at| at.used.postgres.descriptors as f64),
    ("NATS, descriptors", |at| at.used.nats.descriptors as f64),
    ("outbox, rows", |at| at.depths.outbox_rows as f64),
    ("dead rows", |at| at.depths.dead_rows as f64),
    ("claimable index, MB", |at| at.depths.claimable_index_bytes as f64 / 1e6),
    ("bells", |at| at.depths.bells as f64),
];

fn line(what: &str, points: &[(f64, f64)]) -> Slope {
    #[expect(clippy::cast_precision_loss, reason = "some hundred samples")]
    let count = points.len() as f64;
    let mean_x = points.iter().map(|point| point.0).sum::<f64>() / count;
    let mean_y = points.iter().map(|point| point.1).sum::<f64>() / count;
    let rise: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let run: f64 = points.iter().map(|(x, _)| (x - mean_x) * (x - mean_x)).sum();
    let per_s = if run > 0.0 { rise / run } else { 0.0 };
    let at = |x: f64| mean_y + per_s * (x - mean_x);
    let (first, last) = (points[0].0, points[points.len() - 1].0);
    Slope { what: what.to_owned(), first: at(first), last: at(last), per_hour: per_s * 3_600.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::depths::Depths;
    use crate::stack::Parts;

    fn sample(n: u32, outbox_rows: u64) -> UsageAt {
        let depths = Depths { outbox_rows, ..Depths::default() };
        UsageAt { at_s: f64::from(n), used: Parts::default(), depths }
    }

    #[test]
    fn a_leak_shows_as_what_it_adds_in_an_hour() {
        // One more each second, after a first half that counts for nothing.
        let usage: Vec<_> =
            (0..200).map(|n| sample(n, if n < 100 { 500 } else { u64::from(n) })).collect();
        let found = slopes(&usage);
        let outbox = found.iter().find(|slope| slope.what == "outbox, rows").unwrap();
        assert!((outbox.per_hour - 3_600.0).abs() < 1e-6, "{outbox:?}");
        assert!((outbox.first - 100.0).abs() < 1e-6 && (outbox.last - 199.0).abs() < 1e-6);
        let bells = found.iter().find(|slope| slope.what == "bells").unwrap();
        assert!(bells.per_hour.abs() < 1e-9);
    }

    #[test]
    fn of_a_short_run_there_is_no_line() {
        let usage: Vec<_> = (0..20).map(|n| sample(n, n.into())).collect();
        assert_eq!(slopes(&usage), []);
        assert_eq!(slopes(&[]), []);
    }
}
