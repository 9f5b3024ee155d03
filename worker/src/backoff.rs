//! How long to wait before another try.

use std::time::Duration;

use rand::{Rng, RngExt};

/// No pause is longer, however often something failed.
const LONGEST: Duration = Duration::from_mins(1);

/// Pauses that double with every failure, and are spread out so that those who
/// failed together do not return together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    base: Duration,
    longest: Duration,
}

impl Backoff {
    /// The first pause is at most `base`, later ones at most a minute.
    pub(crate) const fn new(base: Duration) -> Self {
        Self { base, longest: LONGEST }
    }

    /// The same, but none longer than `longest`.
    pub(crate) const fn up_to(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// The same where `base` and `longest` do not say otherwise. A longer base
    /// than the longest pause makes all pauses that long.
    pub(crate) fn as_asked(self, base: Option<Duration>, longest: Option<Duration>) -> Self {
        let base = base.unwrap_or(self.base);
        Self { base, longest: longest.unwrap_or(self.longest.max(base)) }
    }

    /// How long to wait after so many failures in a row: half of the ceiling
    /// to all of it.
    pub(crate) fn after(self, failures: u32, rng: &mut impl Rng) -> Duration {
        self.ceiling(failures).mul_f64(rng.random_range(0.5..=1.0))
    }

    fn ceiling(self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.base.saturating_mul(doubled).min(self.longest)
    }
}

/// Pauses between tries at something that must succeed in the end.
#[derive(Debug)]
pub(crate) struct Pauses {
    backoff: Backoff,
    failures: u32,
}

impl Pauses {
    /// From a tenth of a second to two.
    pub(crate) const fn new() -> Self {
        let backoff = Backoff::new(Duration::from_millis(200)).up_to(Duration::from_secs(2));
        Self { backoff, failures: 0 }
    }

    /// How long to wait, now that another try has failed.
    pub(crate) fn next(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.backoff.after(self.failures, &mut rand::rng())
    }

    /// A try has succeeded.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    proptest! {
        #[test]
        fn the_ceiling_never_shrinks_and_never_passes_a_minute(
            base_ms in 0..100_000_u64, failures in 1..u32::MAX,
        ) {
            let backoff = Backoff::new(Duration::from_millis(base_ms));
            prop_assert!(backoff.ceiling(failures) <= backoff.ceiling(failures + 1));
            prop_assert!(backoff.ceiling(failures) <= LONGEST);
        }

        #[test]
        fn a_pause_is_half_of_the_ceiling_to_all_of_it(failures in 0..40_u32, seed in any::<u64>()) {
            let backoff = Backoff::new(Duration::from_secs(1));
            let pause = backoff.after(failures, &mut StdRng::seed_from_u64(seed));
            let ceiling = backoff.ceiling(failures);
            prop_assert!(pause >= ceiling / 2 && pause <= ceiling);
        }
    }

    #[test]
    fn the_ceiling_doubles_with_every_failure() {
        let backoff = Backoff::new(Duration::from_secs(1));
        let ceilings = [1, 2, 3, 7].map(|failures| backoff.ceiling(failures).as_secs());
        assert_eq!(ceilings, [1, 2, 4, 60]);
    }

    #[test]
    fn after_a_success_the_pauses_are_short_again() {
        let mut pauses = Pauses::new();
        let grown = (0..9).map(|_| pauses.next()).last();
        assert!(grown >= Some(Duration::from_secs(1)));
        pauses.reset();
        assert!(pauses.next() <= Duration::from_millis(200));
    }
}
