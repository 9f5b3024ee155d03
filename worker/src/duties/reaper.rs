//! Taking attempts away from workers that are gone.

use std::time::Duration;

use jetlane_core::causes;
use jetlane_core::domain::WorkerId;
use jetlane_core::messaging::{Messaging, MessagingError};
use jetlane_core::outbox::Announcer;
use jetlane_core::store::{Ledger, Reaped, SILENCE};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::watchlist::Watchlist;
use crate::backoff::Pauses;
use crate::leases::{self, Leases};

/// While our own heartbeat is older, nobody is reaped: we may be the one that
/// the ledger has not heard of.
const STALE: Duration = Duration::from_secs(3);

/// After so long the first look is repeated, whatever `period` is: until then a worker
/// may hold attempts that it has no reason to tell of, having beaten before we listened.
const SECOND_LOOK: Duration = leases::PERIOD.saturating_add(Duration::from_millis(500));

/// How long to wait for our own heartbeat.
const HEARTBEAT_PAUSE: Duration = Duration::from_millis(200);

/// Gives back the attempts of silent workers: when one has been silent for too
/// long, and every `period`.
#[derive(Debug)]
pub(super) struct Reaper {
    /// Who we are.
    pub(super) worker: WorkerId,
    /// Where the attempts are.
    pub(super) ledger: Ledger,
    /// What we hold ourselves.
    pub(super) leases: Leases,
    /// Whence the signs of life.
    pub(super) messaging: Messaging,
    /// Where changes are told.
    pub(super) announcer: Announcer,
    /// How often it looks without a reason.
    pub(super) period: Duration,
}

impl Reaper {
    /// Runs until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        if let Err(error) = self.watch(&stop).await {
            let error = anyhow::Error::new(error);
            tracing::error!(error = causes(&error), "cannot reap any more");
        }
    }

    async fn watch(&self, stop: &CancellationToken) -> Result<(), MessagingError> {
        let mut beats = self.messaging.beats().await?;
        let mut list = Watchlist::new(self.worker, SILENCE);
        let mut pauses = Pauses::new();
        let second_look = Instant::now() + SECOND_LOOK;
        let mut sweep = Instant::now();
        let mut was_away = false;
        loop {
            let next = list.next_due().map_or(sweep, |due| due.min(sweep));
            tokio::select! {
                // A sign of life that waits to be read comes before its absence.
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(worker) = beats.next() => list.heard(worker, Instant::now()),
                () = sleep_until(next) => {
                    if self.leases.seems_dead_after(STALE) {
                        sleep(HEARTBEAT_PAUSE).await;
                        continue;
                    }
                    let wait = if was_away {
                        self.wait_for_ledger(&mut was_away, &mut pauses).await
                    } else {
                        self.reap(&mut list, &mut pauses, &mut was_away).await
                    };
                    let now = Instant::now();
                    sweep = now + wait;
                    if now < second_look {
                        sweep = sweep.min(second_look);
                    }
                }
            }
        }
    }

    /// Asks whether the ledger is back, and returns how long to wait. It was
    /// away for the others too: they get the time to be heard again.
    async fn wait_for_ledger(&self, was_away: &mut bool, pauses: &mut Pauses) -> Duration {
        *was_away = self.ledger.ping().await.is_err();
        if *was_away { pauses.next() } else { SILENCE }
    }

    /// Reaps, and returns how long to wait unless somebody is due earlier.
    async fn reap(
        &self,
        list: &mut Watchlist,
        pauses: &mut Pauses,
        was_away: &mut bool,
    ) -> Duration {
        let error = match self.ledger.reap(SILENCE).await {
            Ok(Reaped { change, is_more, busy }) => {
                pauses.reset();
                list.learn(&busy, Instant::now());
                for event in change.events() {
                    tracing::warn!(
                        job.id = %event.job_id,
                        job.attempt = event.attempt,
                        "took an attempt away from a lost worker"
                    );
                }
                self.announcer.announce(change).await;
                return if is_more { Duration::ZERO } else { self.period };
            }
            Err(error) => anyhow::Error::new(error),
        };
        tracing::warn!(error = causes(&error), "cannot reap");
        self.announcer.leave_unknown();
        // Whoever was due is looked at with the next try.
        list.learn(&[], Instant::now());
        *was_away = true;
        pauses.next()
    }
}
