//! Sending what the announcers could not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::OutboxMetrics;
use crate::causes;
use crate::clock::Clock;
use crate::domain::Unsent;
use crate::messaging::{Messaging, Refusal};
use crate::store::{Due, Ledger, StoreError, Taken};

/// Rows sent in one round, each of which may hold some hundreds of events.
const BATCH: i64 = 50;

/// How long rows taken by a relay are out of the others' reach: longer than a
/// publish may take.
const HOLD: Duration = Duration::from_secs(5);

/// Sends rows of the outbox that are due: when something was left to it, when
/// NATS comes back, and every `period`. Any number of relays may run.
#[derive(Debug)]
pub struct Relay {
    /// Where the rows are.
    pub ledger: Ledger,
    /// Where they go.
    pub messaging: Messaging,
    /// Stamps `published_at`.
    pub clock: Arc<dyn Clock>,
    /// What it counts.
    pub metrics: OutboxMetrics,
    /// Rung by the announcer.
    pub wake: Arc<Notify>,
    /// How often it looks without being woken.
    pub period: Duration,
}

/// What became of a row, or of a part of it, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// NATS has it.
    Stored,
    /// NATS has it or not.
    Unanswered,
    /// NATS does not take it.
    Refused,
}

/// What sending all that was due came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relayed {
    /// Whether NATS has all of it. The rest is due again, unless it was set aside.
    pub is_all: bool,
    /// How long to wait for the next row.
    pub next: Duration,
}

impl Relay {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut link = self.messaging.link();
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
                Ok(()) = link.changed() => {}
            }
            pause = self.period;
            if !link.borrow_and_update().is_up {
                continue;
            }
            match self.send_due().await {
                Ok(relayed) => pause = relayed.next,
                Err(error) => {
                    let error = anyhow::Error::new(error);
                    tracing::warn!(error = causes(&error), "cannot relay");
                }
            }
        }
    }

    /// Sends all that is due.
    ///
    /// # Errors
    ///
    /// Those of the ledger. What was sent and not struck out is sent again.
    pub async fn send_due(&self) -> Result<Relayed, StoreError> {
        let mut is_all = true;
        loop {
            let Taken { rows, next_due_in } = self.ledger.take_due(BATCH, HOLD).await?;
            if rows.is_empty() {
                let next = next_due_in.unwrap_or(self.period).min(self.period);
                return Ok(Relayed { is_all, next });
            }
            let mut outcomes: BTreeMap<i64, Outcome> = BTreeMap::new();
            for (id, result) in join_all(rows.into_iter().map(|row| self.send_row(row))).await {
                let outcome = match result {
                    Ok(outcome) => outcome,
                    Err(error) => {
                        let error = causes(&error);
                        tracing::warn!(error, outbox_id = id, "cannot send a row of the outbox");
                        Outcome::Refused
                    }
                };
                // A row fares as the part of it that fares worst.
                outcomes
                    .entry(id)
                    .and_modify(|so_far| *so_far = outcome.max(*so_far))
                    .or_insert(outcome);
                if outcome == Outcome::Stored {
                    self.metrics.relayed.inc();
                }
            }
            let of = |outcome| {
                let rows = outcomes.iter().filter(move |(_, fared)| **fared == outcome);
                rows.map(|(id, _)| *id).collect::<Vec<_>>()
            };
            self.ledger.strike_out(&of(Outcome::Stored)).await?;
            let refused = of(Outcome::Refused);
            if !refused.is_empty() {
                is_all = false;
                let aside = self.ledger.count_refusals(&refused).await?;
                self.metrics.set_aside.inc_by(aside);
            }
            if !of(Outcome::Unanswered).is_empty() {
                return Ok(Relayed { is_all: false, next: HOLD.min(self.period) });
            }
        }
    }

    /// Sends a part of a row; an error speaks against the row itself.
    async fn send_row(&self, row: Due) -> (i64, anyhow::Result<Outcome>) {
        let verdict = match row.owed {
            Err(error) => Err(error.into()),
            Ok(unsent) => match self.send(&unsent).await {
                Ok(()) => Ok(Outcome::Stored),
                Err(Refusal::Unknown(_)) => Ok(Outcome::Unanswered),
                Err(error @ Refusal::Refused(_)) => Err(error.into()),
            },
        };
        (row.outbox_id, verdict)
    }

    async fn send(&self, row: &Unsent) -> Result<(), Refusal> {
        let job_id = row.event.as_ref().map(|event| event.job_id);
        if let Some(lane) = &row.ring {
            self.messaging.ring(lane, job_id).await?.stored().await?;
        }
        if let Some(event) = &row.event {
            let announcement = event.announce(None, Some(self.clock.now()));
            self.messaging.publish_event(announcement, &event.details).await?.stored().await?;
        }
        Ok(())
    }
}
