//! What has to be done for jobs that no worker holds.
//!
//! Any number of workers may carry a duty out, at any time: the ledger lets
//! each change happen once. Each is woken by signals and is right by period.

mod cancels;
mod keys;
mod promoter;
mod pruner;
mod ranking;
mod reaper;
mod streams;
mod watchlist;

use std::sync::Arc;
use std::time::Duration;

use jetlane_core::clock::Clock;
use jetlane_core::domain::WorkerId;
use jetlane_core::outbox::{OutboxMetrics, Relay};
use jetlane_core::store::Retention;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::workbench::Workbench;
use promoter::Promoter;
use reaper::Reaper;

pub(crate) use streams::declare_streams;

/// What the duties need besides what attempts work with.
#[derive(Debug)]
pub(crate) struct Duties {
    /// Who carries them out.
    pub(crate) worker: WorkerId,
    /// How often they look without a reason.
    pub(crate) period: Duration,
    /// How long what is kept.
    pub(crate) retention: Retention,
    /// Stamps what the relay publishes.
    pub(crate) clock: Arc<dyn Clock>,
    /// What the relay counts.
    pub(crate) outbox: OutboxMetrics,
    /// Rung by the announcer when something is left to the relay.
    pub(crate) wake_relay: Arc<Notify>,
}

impl Duties {
    /// Starts them on `parts`. They run until `stop`.
    pub(crate) fn start(
        self,
        bench: &Workbench,
        parts: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        let relay = Relay {
            ledger: bench.ledger.clone(),
            messaging: bench.messaging.clone(),
            clock: self.clock,
            metrics: self.outbox,
            wake: self.wake_relay,
            period: self.period,
        };
        let promoter = Promoter {
            ledger: bench.ledger.clone(),
            messaging: bench.messaging.clone(),
            announcer: bench.announcer.clone(),
            period: self.period,
        };
        let reaper = Reaper {
            worker: self.worker,
            ledger: bench.ledger.clone(),
            leases: bench.leases.clone(),
            messaging: bench.messaging.clone(),
            announcer: bench.announcer.clone(),
            period: self.period,
        };
        parts.spawn(relay.run(stop.clone()));
        parts.spawn(promoter.run(stop.clone()));
        parts.spawn(reaper.run(stop.clone()));
        parts.spawn(keys::readmit_stranded(
            bench.ledger.clone(),
            bench.announcer.clone(),
            self.period,
            stop.clone(),
        ));
        parts.spawn(ranking::rank_anew(
            bench.ledger.clone(),
            bench.announcer.clone(),
            self.period,
            stop.clone(),
        ));
        parts.spawn(pruner::prune(bench.ledger.clone(), self.retention, stop.clone()));
        parts.spawn(cancels::pass_on_cancels(
            bench.messaging.clone(),
            bench.leases.clone(),
            stop.clone(),
        ));
    }
}
