//! Renewing leases from a thread of its own.
//!
//! It has its own runtime and its own connection, so that neither a tool that
//! hogs the threads nor a burst of settlements can make leases lapse.

use std::time::Duration;
use std::{io, thread};

use anyhow::Context;
use jetlane_core::causes;
use jetlane_core::domain::WorkerId;
use jetlane_core::messaging::Messaging;
use jetlane_core::store::{Ledger, PoolSettings, RESTED, connect_lazy};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Leases;
use crate::metrics::Metrics;

/// All leases are renewed so often while some are held. Others take a worker
/// for dead after 4 s of silence.
pub(crate) const PERIOD: Duration = Duration::from_millis(1500);

/// A renewal that takes longer has failed.
const RENEWAL_LIMIT: Duration = Duration::from_secs(3);

/// A beat that cannot be handed over so fast is dropped.
const BEAT_LIMIT: Duration = Duration::from_millis(100);

/// Leases that could not be renewed are looked for so often.
const FENCE_PERIOD: Duration = Duration::from_millis(100);

/// How long to wait for the thread's end.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Renews all leases of a worker.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// The ledger's address.
    pub(crate) database_url: String,
    /// Whose leases.
    pub(crate) worker: WorkerId,
    /// The leases.
    pub(crate) leases: Leases,
    /// Where others hear that we live.
    pub(crate) messaging: Messaging,
    /// What is counted.
    pub(crate) metrics: Metrics,
}

/// The running thread.
#[derive(Debug)]
pub(crate) struct KeeperHandle {
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl KeeperHandle {
    /// Waits until the thread has ended, which it does by itself only for a
    /// mistake of ours.
    pub(crate) async fn ended(&mut self) {
        // The other end only ever goes away.
        let _ = (&mut self.ended).await;
    }

    /// Stops renewing, and waits for the thread's end.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        if timeout(STOP_LIMIT, self.ended()).await.is_err() {
            tracing::warn!("the lease thread did not end in time");
        }
    }
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the system has no room for a thread or a runtime.
    pub(crate) fn start(self) -> io::Result<KeeperHandle> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = CancellationToken::new();
        let (alive, ended) = oneshot::channel();
        let stopped = stop.clone();
        thread::Builder::new().name("leases".into()).spawn(move || {
            let _alive = alive;
            runtime.block_on(async {
                stopped.run_until_cancelled(self.keep()).await;
            });
            runtime.shutdown_background();
        })?;
        Ok(KeeperHandle { stop, ended })
    }

    async fn keep(&self) {
        tokio::select! {
            Err(error) = self.renew_while_held() => {
                tracing::error!(error = causes(&error), "cannot renew leases any more");
            }
            () = self.fence_while_held() => {}
        }
    }

    async fn renew_while_held(&self) -> anyhow::Result<()> {
        let mut ledger = self.connect()?;
        let mut next = Instant::now();
        loop {
            let was_idle = !self.leases.any_held();
            self.leases.until_held().await;
            // At once if the last one is long ago: the heartbeat is as old, and nobody
            // watches us any more. Until it is renewed we may die of what we hold.
            if was_idle && next <= Instant::now() {
                self.beat().await;
            }
            sleep_until(next).await;
            let held = self.leases.held();
            if held.is_empty() {
                continue;
            }
            let sent = Instant::now();
            next = sent + PERIOD;
            let renewal = ledger.renew(self.worker, &held, self.leases.length());
            let error = match timeout(RENEWAL_LIMIT, renewal).await {
                Ok(Ok(renewed)) => {
                    self.leases.confirm(sent, &held, &renewed);
                    self.metrics.count_renewal("done");
                    self.beat().await;
                    continue;
                }
                Ok(Err(error)) => anyhow::Error::new(error),
                Err(elapsed) => {
                    // The connection may be dead without knowing it, and it is
                    // the only one there is: begin anew.
                    ledger = self.connect()?;
                    anyhow::Error::new(elapsed)
                }
            };
            self.metrics.count_renewal("failed");
            let held = held.len();
            tracing::warn!(error = causes(&error), held, "cannot renew leases");
        }
    }

    async fn fence_while_held(&self) {
        loop {
            self.leases.until_held().await;
            self.leases.fence(Instant::now());
            sleep(FENCE_PERIOD).await;
        }
    }

    /// Tells the other workers, so that they need not ask the ledger.
    async fn beat(&self) {
        // A stuck connection to NATS must not keep us from the next renewal.
        if timeout(BEAT_LIMIT, self.messaging.beat(self.worker)).await.is_err() {
            tracing::debug!("a beat was not sent in time");
        }
    }

    fn connect(&self) -> anyhow::Result<Ledger> {
        let pool = connect_lazy(&PoolSettings {
            url: self.database_url.clone(),
            application_name: "jetlane-worker-leases",
            max_connections: 1,
            acquire_timeout: RENEWAL_LIMIT,
            rested: RESTED,
        });
        Ok(Ledger::new(pool.context("the ledger's address is none")?))
    }
}
