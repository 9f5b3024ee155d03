//! Telling NATS of a change right after its commit.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use super::{Marker, OutboxMetrics};
use crate::clock::Clock;
#[cfg(jetlane_mutants)]
use crate::config::Mutant;
use crate::domain::{Change, Unsent};
use crate::messaging::{Messaging, Receipt, Refusal};
use crate::store::Ledger;

/// How long a change's messages may take to be handed to the client. Longer
/// means that the connection is stuck; the relay takes over.
const SEND_TIMEOUT: Duration = Duration::from_millis(250);

/// How many struck-out batches may wait for the marker. More are left to the
/// relay, which publishes them a second time; readers drop doubles.
const MARK_QUEUE: usize = 4096;

/// Publishes changes after their commit. Clones share everything.
#[derive(Clone, Debug)]
pub struct Announcer {
    messaging: Messaging,
    clock: Arc<dyn Clock>,
    metrics: OutboxMetrics,
    mark: mpsc::Sender<Vec<i64>>,
    relay: Arc<Notify>,
    receipts: TaskTracker,
}

/// An announcer, and the marker that must run beside it. `relay` is notified
/// when something is left to the relay.
#[must_use]
pub fn announcer(
    ledger: Ledger,
    messaging: Messaging,
    clock: Arc<dyn Clock>,
    metrics: OutboxMetrics,
    relay: Arc<Notify>,
) -> (Announcer, Marker) {
    let (mark, marks) = mpsc::channel(MARK_QUEUE);
    let receipts = TaskTracker::new();
    let announcer = Announcer { messaging, clock, metrics, mark, relay, receipts };
    (announcer, Marker::new(ledger, marks))
}

impl Announcer {
    /// Sends what `change` owes, and returns when it is sent; that it is
    /// stored is seen to in the background. Call it right after the commit:
    /// `committed_at` is stamped here.
    pub async fn announce(&self, change: Change) {
        #[cfg(jetlane_mutants)]
        if Mutant::NoOutbox.is_on() {
            let ids = change.unsent.iter().map(|unsent| unsent.outbox_id).collect();
            // An error leaves them to the relay.
            let _ = self.mark.try_send(ids);
        }
        let sent = self.send(change).await;
        if !sent.is_empty() {
            let this = self.clone();
            self.receipts.spawn(async move { this.see_to(sent).await });
        }
    }

    /// Sends what `change` owes and waits until it is stored, for `limit` at
    /// most, the time to connect included. For a process that may be frozen
    /// afterwards: striking out is left to the relay.
    pub async fn announce_within(&self, change: Change, limit: Duration) {
        let stored = timeout(limit, async {
            self.messaging.revive().await;
            let sent = self.send(change).await;
            join_all(sent.into_iter().map(Sent::stored)).await;
        });
        if stored.await.is_err() {
            tracing::debug!("a change was not announced in time");
        }
    }

    /// A change may have been committed of which nobody was told: the relay
    /// looks what it owes.
    pub fn leave_unknown(&self) {
        self.relay.notify_one();
    }

    /// Waits until nothing is on its way any more.
    pub async fn flush(&self) {
        self.receipts.close();
        self.receipts.wait().await;
    }

    async fn send(&self, change: Change) -> Vec<Sent> {
        let committed_at = self.clock.now();
        let owed = change.unsent.len();
        if !self.messaging.is_up() {
            self.leave_to_relay(owed);
            return Vec::new();
        }

        let mut rows: BTreeMap<i64, Sent> = BTreeMap::new();
        let mut rung = HashSet::new();
        let deadline = Instant::now() + SEND_TIMEOUT;
        for unsent in change.unsent {
            let row = rows.entry(unsent.outbox_id).or_default();
            // One bell per lane says it all.
            let is_new = unsent.ring.as_ref().is_some_and(|lane| rung.insert(lane.clone()));
            match timeout_at(deadline, self.send_one(unsent, committed_at, is_new)).await {
                Ok(Ok(receipts)) => row.receipts.extend(receipts),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a change was not sent");
                    row.is_in_part = true;
                    self.leave_to_relay(1);
                }
                Err(_) => {
                    row.is_in_part = true;
                    self.leave_to_relay(1);
                }
            }
        }
        rows.into_iter().map(|(outbox_id, sent)| Sent { outbox_id, ..sent }).collect()
    }

    async fn send_one(
        &self,
        unsent: Unsent,
        committed_at: DateTime<Utc>,
        is_to_ring: bool,
    ) -> Result<Vec<Receipt>, Refusal> {
        let mut receipts = Vec::with_capacity(2);
        let job_id = unsent.event.as_ref().map(|event| event.job_id);
        // The bell first: a worker has a longer way to go than a watcher.
        if let Some(lane) = unsent.ring.as_ref().filter(|_| is_to_ring) {
            receipts.push(self.messaging.ring(lane, job_id).await?);
        }
        if let Some(event) = &unsent.event {
            let announcement = event.announce(Some(committed_at), Some(self.clock.now()));
            receipts.push(self.messaging.publish_event(announcement, &event.details).await?);
        }
        Ok(receipts)
    }

    async fn see_to(&self, sent: Vec<Sent>) {
        let mut stored = Vec::with_capacity(sent.len());
        for sent in sent {
            let (id, is_in_part, messages) = (sent.outbox_id, sent.is_in_part, sent.receipts.len());
            match sent.stored().await {
                // Of a row that was sent in part the relay sends all again.
                Ok(()) if is_in_part => {}
                Ok(()) => {
                    self.metrics.published.inc_by(messages as u64);
                    stored.push(id);
                }
                Err(error) => {
                    tracing::debug!(%error, "a change was sent and not acknowledged");
                    self.leave_to_relay(1);
                }
            }
        }
        if !stored.is_empty() && self.mark.try_send(stored).is_err() {
            tracing::debug!("published changes were not struck out");
        }
    }

    fn leave_to_relay(&self, count: usize) {
        self.metrics.left_to_relay.inc_by(count as u64);
        self.relay.notify_one();
    }
}

/// A row of the outbox on its way to NATS.
#[derive(Default)]
struct Sent {
    outbox_id: i64,
    receipts: Vec<Receipt>,
    /// Not all of it could be sent.
    is_in_part: bool,
}

impl Sent {
    async fn stored(self) -> Result<(), Refusal> {
        for receipt in self.receipts {
            receipt.stored().await?;
        }
        Ok(())
    }
}
