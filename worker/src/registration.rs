//! The worker's row in the ledger.

use std::time::Duration;

use anyhow::Context;
use jetlane_core::causes;
use jetlane_core::domain::{LaneName, WorkerId};
use jetlane_core::store::Ledger;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::backoff::Pauses;
use crate::leases::Leases;

/// A statement that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(5);

/// The entry is repeated at least so often: after an hour without, it is pruned.
const LONGEST_PERIOD: Duration = Duration::from_mins(10);

/// A worker as others see it.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    /// Where.
    pub(crate) ledger: Ledger,
    /// Who.
    pub(crate) worker: WorkerId,
    /// Room for so many attempts at once.
    pub(crate) slots: u16,
    /// What it serves.
    pub(crate) lanes: Vec<LaneName>,
    /// What it holds.
    pub(crate) leases: Leases,
}

impl Registration {
    /// Enters the worker and its lanes. Tries for as long as it takes: the
    /// ledger may start after us.
    pub(crate) async fn enter(&self) {
        self.ledger.until_reached().await;
        let mut pauses = Pauses::new();
        while let Err(error) = self.enter_once().await {
            tracing::warn!(error = causes(&error), "cannot register with the ledger yet");
            sleep(pauses.next()).await;
        }
    }

    async fn enter_once(&self) -> anyhow::Result<()> {
        let entered = timeout(LIMIT, self.ledger.register_lanes(&self.lanes)).await;
        entered.context("no answer")??;
        self.register().await
    }

    /// Repeats the worker's entry every `period` until `stop`, except while attempts
    /// are held: then renewals do.
    pub(crate) async fn keep(self, period: Duration, stop: CancellationToken) {
        let period = period.min(LONGEST_PERIOD);
        while stop.run_until_cancelled(sleep(period)).await.is_some() {
            if !self.leases.any_held()
                && let Err(error) = self.register().await
            {
                tracing::warn!(error = causes(&error), "cannot register with the ledger");
            }
        }
    }

    /// Strikes the worker out, if the ledger answers.
    pub(crate) async fn leave(&self) {
        match timeout(LIMIT, self.ledger.remove_worker(self.worker)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = anyhow::Error::new(error);
                tracing::warn!(error = causes(&error), "cannot sign off from the ledger");
            }
            Err(_) => tracing::warn!("the ledger did not answer when signing off"),
        }
    }

    async fn register(&self) -> anyhow::Result<()> {
        let sent = Instant::now();
        let entered = self.ledger.register_worker(self.worker, self.slots.into());
        timeout(LIMIT, entered).await.context("no answer")??;
        self.leases.note_heartbeat(sent);
        Ok(())
    }
}
