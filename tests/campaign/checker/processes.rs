//! Processes end when told to, do not panic, and do not grow without bound.

use std::sync::Arc;

use crate::violations::{Invariant, Violation};
use crate::world::{Incarnation, Role};

/// A process that lived for fewer seconds has not shown how much it grows.
const SAMPLES: usize = 60;

/// A process may grow by so much from the first third of its life to the last:
/// twofold and then some KiB.
const GROWTH: u64 = 2;
const ALLOWANCE_KIB: u64 = 64 * 1024;

/// What processes did that they must not.
pub(super) fn check(lives: &[Arc<Incarnation>]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for life in lives {
        if let Some(crash) = life.crash() {
            violations.push(Violation::general(Invariant::Processes, crash));
        }
        let log = life.process.logged();
        for line in log.lines().filter(|line| line.contains("panicked")) {
            let what = format!("{} logged {line}", life.name);
            violations.push(Violation::general(Invariant::Processes, what));
        }
        if let Some((before, after)) = growth(&life.gauge.lock().unwrap().memory) {
            let what = format!("{} grew from {before} to {after} KiB", life.name);
            violations.push(Violation::general(Invariant::Leftovers, what));
        }
    }
    violations
}

/// The memory of the first third of a life and of the last, if it is too much
/// more.
fn growth(samples: &[u64]) -> Option<(u64, u64)> {
    if samples.len() < SAMPLES {
        return None;
    }
    let third = samples.len() / 3;
    let (before, after) = (median(&samples[..third]), median(&samples[samples.len() - third..]));
    (after > before * GROWTH + ALLOWANCE_KIB).then_some((before, after))
}

fn median(samples: &[u64]) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// How many attempts workers were refused to end.
pub(crate) fn zombies_rejected(lives: &[Arc<Incarnation>]) -> u64 {
    let workers = lives.iter().filter(|life| life.role == Role::Worker);
    workers.map(|life| life.refused()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_grows_and_grows_is_noticed() {
        let grown: Vec<u64> = (0..90).map(|second| second * 10_000).collect();
        assert!(growth(&grown).is_some());
        assert_eq!(growth(&grown[..30]), None, "too short a life");
    }

    #[test]
    fn a_process_that_warms_up_is_well() {
        let warm: Vec<u64> = (0..90).map(|second| 20_000 + second.min(10) * 5_000).collect();
        assert_eq!(growth(&warm), None);
    }
}
