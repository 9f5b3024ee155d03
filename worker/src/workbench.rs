//! What all attempts work with.

use jetlane_core::config::SimulateConfig;
use jetlane_core::messaging::Messaging;
use jetlane_core::outbox::Announcer;
use jetlane_core::store::Ledger;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::leases::Leases;
use crate::metrics::Metrics;
use crate::settle::Settlements;

/// What all attempts work with, and the dispatcher that starts them.
#[derive(Debug)]
pub(crate) struct Workbench {
    /// Where jobs come from and go to.
    pub(crate) ledger: Ledger,
    /// Where output goes to.
    pub(crate) messaging: Messaging,
    /// Where changes are told.
    pub(crate) announcer: Announcer,
    /// What is held.
    pub(crate) leases: Leases,
    /// Where attempts that have ended go.
    pub(crate) settlements: Settlements,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// How long a failed job waits for its next attempt.
    pub(crate) backoff: Backoff,
    /// How simulated work behaves.
    pub(crate) simulate: SimulateConfig,
    /// Stop what is running, and give it back.
    pub(crate) abort: CancellationToken,
}
