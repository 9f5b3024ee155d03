//! Signs of life between workers.
//!
//! A worker that holds attempts says so as often as it renews them. Others
//! need not ask the ledger for its heartbeat while they hear it. Silence here
//! proves nothing, it only makes them ask.

use async_nats::Subscriber;
use futures_util::StreamExt;

use super::{Messaging, MessagingError};
use crate::domain::WorkerId;

/// The other workers' signs of life.
#[derive(Debug)]
pub struct Beats(Subscriber);

impl Beats {
    /// The next worker that is alive and holds attempts; `None` once the
    /// client is closed.
    pub async fn next(&mut self) -> Option<WorkerId> {
        loop {
            let message = self.0.next().await?;
            // workers.<worker_id>.beat
            if let Some(id) = message.subject.split('.').nth(1).and_then(|id| id.parse().ok()) {
                return Some(id);
            }
        }
    }
}

impl Messaging {
    /// Gives a sign of life, if NATS is there to carry it.
    pub async fn beat(&self, worker: WorkerId) {
        // Without a connection the client would keep beats to send them late.
        if self.is_up()
            && let Err(error) =
                self.client.publish(format!("workers.{worker}.beat"), "".into()).await
        {
            tracing::debug!(%error, "a beat was not sent");
        }
    }

    /// Listens to the signs of life.
    ///
    /// # Errors
    ///
    /// [`MessagingError::Subscribe`] if the client is closed.
    pub async fn beats(&self) -> Result<Beats, MessagingError> {
        self.subscribe("workers.*.beat").await.map(Beats)
    }
}
