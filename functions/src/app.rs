//! What handlers work with.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use jetlane_core::clock::Clock;
#[cfg(jetlane_mutants)]
use jetlane_core::config::Mutant;
use jetlane_core::domain::{Change, LaneName};
use jetlane_core::messaging::Messaging;
use jetlane_core::outbox::{Announcer, OutboxMetrics};
use jetlane_core::store::{Ledger, Ranked, StoreError};
use prometheus::Registry;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accepting::Accepting;
use crate::events::Hub;
use crate::health::NatsHealth;
use crate::metrics::ApiMetrics;
use crate::problem::ApiError;

/// What a Lambda function spends on telling NATS of a change: nothing runs
/// after its answer.
const LAMBDA_ANNOUNCE_LIMIT: Duration = Duration::from_millis(250);

/// What handlers work with. Clones share it: each request has several of them on its way.
#[derive(Clone, Debug)]
pub struct App(Arc<Parts>);

/// What an [`App`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// The truth.
    pub ledger: Ledger,
    /// Doorbells and the live feed.
    pub messaging: Messaging,
    /// How single jobs get there.
    pub accepting: Accepting,
    /// Tells NATS of committed changes.
    pub announcer: Announcer,
    /// How long it may keep an answer waiting.
    pub announcing: Announcing,
    /// What announcers and relays count.
    pub outbox: OutboxMetrics,
    /// What watchers are fed from.
    pub watching: Watching,
    /// Stamps and ids.
    pub clock: Arc<dyn Clock>,
    /// What absolute URLs begin with, if not what the request says.
    pub public_url: Option<String>,
    /// The process's metrics.
    pub registry: Registry,
    /// Those of the API.
    pub metrics: ApiMetrics,
    /// Whether streams were seen to work lately.
    pub nats: NatsHealth,
    /// Changes under way, whether their client is still there or not.
    pub changes: TaskTracker,
    /// Cancelled when the process stops taking requests.
    pub drain: CancellationToken,
}

/// How long telling NATS may keep an answer waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcing {
    /// Until it is sent; the rest happens beside the answer.
    Beside,
    /// Until it is stored, within a limit: the process may freeze afterwards.
    BeforeTheAnswer,
}

/// What watchers are fed from.
#[derive(Clone, Debug)]
pub enum Watching {
    /// One hub for all watchers of the process.
    Shared(Hub),
    /// A hub for each, which lives as long as its stream.
    PerStream(TaskTracker),
}

impl From<Parts> for App {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Runs `change` to its end even if the client hangs up meanwhile: what it
    /// committed is announced in any case.
    ///
    /// # Errors
    ///
    /// Those of `change`; [`ApiError::Internal`] if it panicked.
    pub(crate) async fn whole<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        #[cfg(jetlane_mutants)]
        if Mutant::NoPoolGuard.is_on() {
            return change.await;
        }
        self.changes.spawn(change).await.map_err(|error| ApiError::Internal(error.into()))?
    }

    /// Ranks jobs anew that wait in a lane whose ageing was changed, in at most
    /// `rounds` rounds.
    ///
    /// # Errors
    ///
    /// Those of the ledger; what is left is done by whoever asks next.
    pub(crate) async fn rank_anew(&self, lane: &LaneName, rounds: usize) -> Result<(), StoreError> {
        for _ in 0..rounds {
            let Ranked { jobs, change } = self.ledger.rank_anew(lane).await?;
            self.announce(change).await;
            if jobs == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Tells NATS of a committed change. Failing to does not fail the request:
    /// the outbox has it.
    pub async fn announce(&self, change: Change) {
        match self.announcing {
            Announcing::Beside => self.announcer.announce(change).await,
            Announcing::BeforeTheAnswer => {
                self.announcer.announce_within(change, LAMBDA_ANNOUNCE_LIMIT).await;
            }
        }
    }
}
