//! Chance that a seed decides: the same seed, the same choices.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// What chance is used for. Each use has a sequence of its own, so that one
/// that asks more often does not change what another gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Schedule,
    Plan,
    Client,
    Watcher,
    Operator,
}

/// The chance of the `n`th user of a kind.
pub(crate) fn chance(seed: u64, what: Use, n: u64) -> StdRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&n.to_le_bytes());
    bytes[16] = what as u8;
    StdRng::from_seed(bytes)
}
