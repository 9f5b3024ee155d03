//! Making due jobs claimable, on time.

use std::time::Duration;

use jetlane_core::causes;
use jetlane_core::messaging::{Messaging, MessagingError};
use jetlane_core::outbox::Announcer;
use jetlane_core::store::{Ledger, Promoted};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::backoff::Pauses;

/// How long to leave a due job alone that another promoter has locked, or
/// whose time the ledger's clock has not reached quite yet.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);

/// Makes due jobs claimable: when the next one is due, when NATS comes back,
/// and every `period`.
#[derive(Debug)]
pub(super) struct Promoter {
    /// Where the jobs are.
    pub(super) ledger: Ledger,
    /// Tells of jobs that become due later.
    pub(super) messaging: Messaging,
    /// Where changes are told.
    pub(super) announcer: Announcer,
    /// How often it looks without a reason.
    pub(super) period: Duration,
}

impl Promoter {
    /// Runs until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        if let Err(error) = self.watch(&stop).await {
            let error = anyhow::Error::new(error);
            tracing::error!(error = causes(&error), "cannot promote any more");
        }
    }

    async fn watch(&self, stop: &CancellationToken) -> Result<(), MessagingError> {
        let mut postponements = self.messaging.postponements().await?;
        let mut link = self.messaging.link();
        let mut generation = link.borrow_and_update().generation;
        let mut pauses = Pauses::new();
        let mut next = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep_until(next) => next = Instant::now() + self.promote(&mut pauses).await,
                // No query: the message says when.
                Some(due_in) = postponements.next() => {
                    next = next.min(Instant::now() + due_in.min(self.period));
                }
                // Postponements may have been missed.
                Ok(()) = link.changed() => {
                    let now = link.borrow_and_update().generation;
                    if now != generation {
                        next = Instant::now();
                    }
                    generation = now;
                }
            }
        }
    }

    /// Promotes all that is due; returns how long to wait for the next.
    async fn promote(&self, pauses: &mut Pauses) -> Duration {
        loop {
            let error = match self.ledger.promote().await {
                Ok(Promoted { change, next_due_in }) => {
                    pauses.reset();
                    let is_idle = change.unsent.is_empty();
                    self.announcer.announce(change).await;
                    match next_due_in {
                        Some(Duration::ZERO) if !is_idle => continue,
                        Some(due_in) => return due_in.clamp(SHORTEST_PAUSE, self.longest()),
                        None => return self.period,
                    }
                }
                Err(error) => anyhow::Error::new(error),
            };
            tracing::warn!(error = causes(&error), "cannot promote due jobs");
            self.announcer.leave_unknown();
            return pauses.next();
        }
    }

    fn longest(&self) -> Duration {
        self.period.max(SHORTEST_PAUSE)
    }
}
