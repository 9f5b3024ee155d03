//! What can go wrong, and when it does.
//!
//! Each fault is injected, lasts, is healed, and tells afterwards whether it
//! was felt: a fault that nobody felt proves nothing.

mod bells;
mod clients;
mod clock;
mod disk;
mod edges;
mod functions;
mod kind;
mod means;
mod nats;
mod network;
mod postgres;
mod power;
mod runner;
mod schedule;
mod victims;
mod workers;

use futures_util::future::LocalBoxFuture;

pub(crate) use functions::Connections;
pub(crate) use kind::FaultKind;
pub(crate) use means::{Footing, all_feasible, feasible};
pub(crate) use runner::{Done, carry_out};
pub(crate) use schedule::{Episode, Planned, episodes};

use crate::campaign::Ground;

/// That a fault was felt, and by how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Felt {
    /// What is counted.
    pub(crate) what: &'static str,
    pub(crate) count: u64,
}

/// Something that goes wrong.
pub(crate) trait Fault {
    /// Makes it go wrong; returns when it has.
    ///
    /// # Errors
    ///
    /// If the campaign itself fails: then nothing can be said about the product.
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>>;

    /// Puts it right; returns when it is.
    ///
    /// # Errors
    ///
    /// As [`Self::inject`].
    fn heal<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>>;

    /// What became of it. Asked once all has recovered.
    fn felt<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, Felt>;
}
