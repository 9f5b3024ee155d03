//! Hearing doorbells.
//!
//! Fetch-style: one request at a time, and each is read to its end or taken
//! back. An open message stream that nobody polls would go on taking bells in
//! the background, and other workers would not hear them.

use std::time::Duration;

use async_nats::jetstream::consumer::{PullConsumer, pull::BatchConfig};
use async_nats::jetstream::{AckKind, Message};
use async_nats::{StatusCode, Subscriber};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::error::Cause;
use super::{Messaging, MessagingError};
use crate::domain::LaneName;

/// How long one request waits for a bell.
const WAIT: Duration = Duration::from_secs(20);

/// NATS says that time is up; it is believed dead so much later.
const SLACK: Duration = Duration::from_secs(5);

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
    /// Where the answer to the open request comes in.
    inbox: Option<Subscriber>,
}

impl Bells {
    /// The bells of a lane. Nothing is asked of NATS yet.
    #[must_use]
    pub fn new(messaging: Messaging, lane: LaneName) -> Self {
        Self { messaging, lane, consumer: None, inbox: None }
    }

    /// Waits for a bell; `None` if none rang for a while. Whoever stops waiting
    /// before must [`Self::withdraw`].
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
            match message {
                Ok(message) => bells.push(Bell(message)),
                // What was taken is looked after; the next request fails too.
                Err(_) if !bells.is_empty() => break,
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(bells)
    }

    /// Takes the open request back. A bell that was on its way to it is lost:
    /// the lane is rung once more, for others.
    ///
    /// # Errors
    ///
    /// As [`Self::wait`]; then others hear of the lane when the bell rings
    /// again, or look by themselves.
    pub async fn withdraw(&mut self) -> Result<(), MessagingError> {
        let Some(mut inbox) = self.inbox.take() else { return Ok(()) };
        // NATS must know before the bell rings that nobody is here.
        inbox.unsubscribe().await.map_err(|error| self.failed(error.into()))?;
        let ring = self.messaging.ring(&self.lane, None).await;
        let ring = ring.map_err(|error| self.failed(error.into()))?;
        // The process may be about to end, and what it has not sent with it.
        ring.stored().await.map_err(|error| self.failed(error.into()))
    }

    async fn hear(&mut self) -> Result<Option<Bell>, MessagingError> {
        let consumer = self.consumer().await?;
        let inbox = self.messaging.client.new_inbox();
        let subscribed = self.messaging.client.subscribe(inbox.clone()).await;
        self.inbox = Some(subscribed.map_err(|error| self.failed(error.into()))?);
        let request = BatchConfig { batch: 1, expires: Some(WAIT), ..BatchConfig::default() };
        let asked = consumer.request_batch(request, inbox.into()).await;
        asked.map_err(|error| self.failed(error.into()))?;

        let Some(answers) = &mut self.inbox else { return Ok(None) };
        let answer = timeout(WAIT + SLACK, answers.next()).await;
        self.inbox = None;
        let Ok(Some(message)) = answer else { return Ok(None) };
        match message.status {
            None | Some(StatusCode::OK) => {
                let context = self.messaging.jetstream.clone();
                Ok(Some(Bell(Message { message, context })))
            }
            Some(StatusCode::TIMEOUT | StatusCode::NOT_FOUND) => Ok(None),
            Some(status) => {
                let why = message.description.unwrap_or_default();
                Err(self.failed(format!("{status} {why}").into()))
            }
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
