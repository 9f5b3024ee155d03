//! What NATS is told, heard on the wire beside every watcher.

use futures_util::StreamExt;
use serde_json::Value;

use super::{List, Told};

/// What was told over NATS.
#[derive(Debug, Default)]
pub(crate) struct Feed(List);

impl Feed {
    /// What was told so far, in the order in which it was heard, repeats too.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.0.lock().unwrap().clone()
    }

    fn note(&self, told: Told) {
        self.0.lock().unwrap().push(told);
    }
}

/// Hears what is told over NATS, which may be away at times. Never ends.
///
/// # Errors
///
/// If the address is none.
pub(crate) async fn listen(url: String, feed: std::sync::Arc<Feed>) -> anyhow::Result<()> {
    let options = async_nats::ConnectOptions::new()
        .retry_on_initial_connect()
        .subscription_capacity(64 * 1024);
    let client = options.connect(url).await?;
    let mut messages = client.subscribe("jobs.>").await?;
    while let Some(message) = messages.next().await {
        let json: Option<Value> = serde_json::from_slice(&message.payload).ok();
        if let Some(told) = json.as_ref().and_then(Told::read) {
            feed.note(told);
        }
    }
    Ok(())
}
