//! Hearing doorbells.
//!
//! Fetch-style: one request at a time, and each is read to its end. An open
//! message stream that nobody polls would go on taking bells in the
//! background, and other workers would not hear them.

use std::time::Duration;

use async_nats::jetstream::{AckKind, Message, consumer::PullConsumer};
use futures_util::StreamExt;

use super::error::Cause;
use super::{Messaging, MessagingError};
use crate::domain::LaneName;

/// How long one request waits for a bell.
const WAIT: Duration = Duration::from_secs(20);

/// At most so many bells are taken at once; the stream keeps fewer per lane.
const MAX_BELLS: usize = 64;

/// A bell that was heard. Neither answered nor given back, it rings again
/// after 30 s.
#[derive(Debug)]
pub struct Bell(Message);

impl Bell {
    /// Says that the lane has been looked at since.
    ///
    /// A lost answer only makes the bell ring once more.
    pub async fn answer(self) {
        if let Err(error) = self.0.ack().await {
            tracing::debug!(%error, "a doorbell could not be answered");
        }
    }

    /// Gives it to another worker at once.
    pub async fn give_back(self) {
        if let Err(error) = self.0.ack_with(AckKind::Nak(None)).await {
            tracing::debug!(%error, "a doorbell could not be given back");
        }
    }
}

/// A lane's doorbells, shared with the lane's other workers.
#[derive(Debug)]
pub struct Bells {
    messaging: Messaging,
    lane: LaneName,
    consumer: Option<PullConsumer>,
}

impl Bells {
    /// The bells of a lane. Nothing is asked of NATS yet.
    #[must_use]
    pub fn new(messaging: Messaging, lane: LaneName) -> Self {
        Self { messaging, lane, consumer: None }
    }

    /// Waits for a bell; `None` if none rang for a while.
    ///
    /// # Errors
    ///
    /// [`MessagingError`] if NATS or the consumer is away. The next call makes
    /// the consumer anew.
    pub async fn wait(&mut self) -> Result<Option<Bell>, MessagingError> {
        let heard = self.hear().await;
        if heard.is_err() {
            self.consumer = None;
        }
        heard
    }

    /// Takes the bells that are waiting now; if none is, those that ring next,
    /// within a second.
    ///
    /// # Errors
    ///
    /// As [`Self::wait`].
    pub async fn take_waiting(&mut self) -> Result<Vec<Bell>, MessagingError> {
        let consumer = self.consumer().await?;
        let mut batch = consumer
            .fetch()
            .max_messages(MAX_BELLS)
            .expires(Duration::from_secs(1))
            .messages()
            .await
            .map_err(|error| self.failed(error.into()))?;
        let mut bells = Vec::new();
        while let Some(message) = batch.next().await {
            bells.push(Bell(message.map_err(|error| self.failed(error))?));
        }
        Ok(bells)
    }

    async fn hear(&mut self) -> Result<Option<Bell>, MessagingError> {
        let consumer = self.consumer().await?;
        // No heartbeat: async-nats 0.51 falls asleep over the first one and
        // does not see the bell that follows.
        let mut batch = consumer
            .batch()
            .max_messages(1)
            .expires(WAIT)
            .messages()
            .await
            .map_err(|error| self.failed(error.into()))?;
        match batch.next().await {
            Some(Ok(message)) => Ok(Some(Bell(message))),
            Some(Err(error)) => Err(self.failed(error)),
            None => Ok(None),
        }
    }

    async fn consumer(&mut self) -> Result<PullConsumer, MessagingError> {
        if let Some(consumer) = &self.consumer {
            return Ok(consumer.clone());
        }
        let consumer = self.messaging.worker_consumer(&self.lane).await?;
        Ok(self.consumer.insert(consumer).clone())
    }

    fn failed(&self, source: Cause) -> MessagingError {
        MessagingError::Subscribe { subject: format!("work.{}", self.lane), source }
    }
}
