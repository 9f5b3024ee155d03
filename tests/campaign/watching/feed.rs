//! What NATS is told, heard on the wire beside every watcher, and read again
//! from the stream where nobody heard it.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context;
use async_nats::jetstream::{self, consumer::DeliverPolicy, consumer::pull::OrderedConfig};
use async_nats::{Client, ConnectOptions};
use futures_util::StreamExt;
use serde_json::Value;
use tokio::time::timeout;

use super::{List, Told};

/// The product's stream of events, and its subjects.
const STREAM: &str = "JOBS";
const SUBJECTS: &str = "jobs.>";

/// Soon, so that little is told while nobody hears it.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// How long the stream may take to yield its next message.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// What was told over NATS.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    told: List,
    /// Up to where the stream was read: when it was made, and the next message.
    read: Mutex<Option<(i64, u64)>>,
}

impl Feed {
    /// What was told so far, repeats too.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    fn note(&self, payload: &[u8]) {
        let json: Option<Value> = serde_json::from_slice(payload).ok();
        if let Some(told) = json.as_ref().and_then(Told::read) {
            self.told.lock().unwrap().push(told);
        }
    }

    /// Reads what the stream holds and was not read before: it may have come
    /// while nobody heard it. To be called before the stream's data is lost.
    ///
    /// # Errors
    ///
    /// If there is no stream, or it cannot be read; what was read is noted.
    pub(crate) async fn read_stream(&self, nats: Client) -> anyhow::Result<()> {
        let stream = jetstream::new(nats).get_stream(STREAM).await?;
        let info = stream.cached_info();
        let made = info.created.unix_timestamp();
        let read = *self.read.lock().unwrap();
        let next = read.filter(|(when, _)| *when == made).map_or(1, |(_, next)| next);
        let (first, last) = (next.max(info.state.first_sequence), info.state.last_sequence);
        if first > last {
            return Ok(());
        }
        let from = DeliverPolicy::ByStartSequence { start_sequence: first };
        let config = OrderedConfig { deliver_policy: from, ..OrderedConfig::default() };
        let mut messages = stream.create_consumer(config).await?.messages().await?;
        loop {
            let message = timeout(READ_LIMIT, messages.next()).await?.context("it has ended")??;
            self.note(&message.payload);
            let info = message.info().map_err(|error| anyhow::anyhow!(error))?;
            *self.read.lock().unwrap() = Some((made, info.stream_sequence + 1));
            if info.stream_sequence >= last {
                return Ok(());
            }
        }
    }
}

/// Hears what is told over NATS, which may be away at times. Never ends.
///
/// # Errors
///
/// If the address is none.
pub(crate) async fn listen(url: String, feed: std::sync::Arc<Feed>) -> anyhow::Result<()> {
    let options = ConnectOptions::new()
        .retry_on_initial_connect()
        .reconnect_delay_callback(|_| RECONNECT_PAUSE)
        .subscription_capacity(64 * 1024);
    let client = options.connect(url).await?;
    let mut messages = client.subscribe(SUBJECTS).await?;
    while let Some(message) = messages.next().await {
        feed.note(&message.payload);
    }
    Ok(())
}
