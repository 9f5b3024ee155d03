//! What goes wrong when: a pure function of the seed.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::FaultKind;
use crate::chance::{Use, chance};

/// How often a fault has company.
const COMPANY: f64 = 0.3;

/// The pause between a recovery and the next fault, in milliseconds.
const PAUSE: std::ops::Range<u64> = 300..3_000;

/// A fault that will happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) kind: FaultKind,
    /// The seed of what it decides itself, such as its victim.
    pub(crate) chance: u64,
}

/// Faults that happen at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Episode {
    /// After all has recovered from the one before.
    pub(crate) pause: Duration,
    pub(crate) faults: Vec<Planned>,
    /// From the last injection to the first healing.
    pub(crate) lasts: Duration,
}

impl Episode {
    /// How soon jobs must run again afterwards. The promise is of optimised builds: others, as those
    /// that mutants are made of, take longer to work off what piled up.
    pub(crate) fn recovery_limit(&self) -> Duration {
        let limits = self.faults.iter().map(|planned| planned.kind.recovery_limit());
        limits.max().unwrap_or_default() * if cfg!(debug_assertions) { 2 } else { 1 }
    }
}

/// Episodes without end. Each kind comes once before any comes again, alone or
/// in company.
pub(crate) fn episodes(seed: u64, kinds: &[FaultKind]) -> impl Iterator<Item = Episode> {
    let mut rng = chance(seed, Use::Schedule, 0);
    let kinds = kinds.to_vec();
    let mut deck = Vec::new();
    std::iter::from_fn(move || {
        if deck.is_empty() {
            deck.clone_from(&kinds);
            deck.shuffle(&mut rng);
        }
        let kind = deck.pop()?;
        let mut faults = vec![planned(kind, &mut rng)];
        if kind.takes_companion()
            && rng.random_bool(COMPANY)
            && let Some(place) = deck.iter().rposition(|other| other.is_companion())
        {
            faults.push(planned(deck.remove(place), &mut rng));
        }
        let lasts = faults.iter().map(|planned| rng.random_range(planned.kind.lasts())).max()?;
        Some(Episode {
            pause: Duration::from_millis(rng.random_range(PAUSE)),
            faults,
            lasts: Duration::from_millis(lasts),
        })
    })
}

fn planned(kind: FaultKind, rng: &mut StdRng) -> Planned {
    Planned { kind, chance: rng.random() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn first(seed: u64, count: usize) -> Vec<Episode> {
        episodes(seed, FaultKind::ALL).take(count).collect()
    }

    #[test]
    fn the_seed_decides_all_of_it() {
        assert_eq!(first(7, 100), first(7, 100));
        assert_ne!(first(7, 5), first(8, 5));
    }

    #[test]
    fn every_kind_comes_before_any_comes_again() {
        for seed in 0..50 {
            let mut faults = episodes(seed, FaultKind::ALL).flat_map(|episode| episode.faults);
            let kinds: BTreeSet<_> =
                faults.by_ref().take(FaultKind::ALL.len()).map(|planned| planned.kind).collect();
            assert_eq!(kinds.len(), FaultKind::ALL.len(), "seed {seed}");
        }
    }

    #[test]
    fn only_the_kinds_that_were_asked_for_come() {
        let kinds = [FaultKind::NatsKilled, FaultKind::WorkerKilled];
        let mut faults = episodes(1, &kinds).take(20).flat_map(|episode| episode.faults);
        assert!(faults.all(|planned| kinds.contains(&planned.kind)));
    }
}
