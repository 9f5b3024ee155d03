//! Publishing through JetStream.

use std::error::Error;
use std::future::IntoFuture;

use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::Messaging;
use crate::domain::{Announcement, EventKind, JobId, LaneName};

/// Names the tenant of an event, which its JSON does not.
pub(super) const TENANT_HEADER: &str = "Jetlane-Tenant";

/// Names the ledger transaction of an event.
pub(super) const XID_HEADER: &str = "Jetlane-Xid";

/// Where promoters hear of jobs that are to be started by a time. A subject of
/// its own, so that they need not read of every job that is queued.
pub(super) const DEADLINES: &str = "deadlines";

/// Why a message is not known to be stored.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No answer, or one that is not about the message: it may or may not be
    /// stored. Publish it again.
    #[error("no acknowledgement")]
    Unknown(#[source] PublishError),
    /// NATS looked at the message and did not take it.
    #[error("refused")]
    Refused(#[source] PublishError),
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        if is_about_the_message(&error) { Self::Refused(error) } else { Self::Unknown(error) }
    }
}

/// Whether the message itself is at fault. A server that has no room, or none
/// of the stream, has some again later.
fn is_about_the_message(error: &PublishError) -> bool {
    let answer = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => true,
        PublishErrorKind::Other => answer.is_some_and(|answer| {
            answer.error_code() == jetstream::ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM
        }),
        _ => false,
    }
}

/// A message on its way: sent, its acknowledgement still to come.
#[derive(Debug)]
pub struct Receipt {
    message: PublishAckFuture,
    /// The same event among the dead letters.
    dead_letter: Option<PublishAckFuture>,
}

impl From<PublishAckFuture> for Receipt {
    fn from(message: PublishAckFuture) -> Self {
        Self { message, dead_letter: None }
    }
}

impl Receipt {
    /// Waits until the message is stored.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn stored(self) -> Result<(), Refusal> {
        self.message.into_future().await?;
        if let Some(dead_letter) = self.dead_letter {
            dead_letter.into_future().await?;
        }
        Ok(())
    }
}

impl Messaging {
    /// Sends an event to the feed, and that of a job that failed for good to
    /// the dead letters too. `details` are the event's own.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; then it was not sent.
    pub async fn publish_event(
        &self,
        event: Announcement,
        details: &Map<String, Value>,
    ) -> Result<Receipt, Refusal> {
        let id = format!("{}:{}", event.job_id, event.seq);
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_MESSAGE_ID, id.as_str());
        headers.insert(TENANT_HEADER, event.tenant.as_str());
        headers.insert(XID_HEADER, event.xid.to_string());
        if let Some(traceparent) = details.get("traceparent").and_then(Value::as_str) {
            headers.insert("traceparent", traceparent);
        }
        let subject = format!("jobs.{}.{}", event.job_id, event.kind);
        let json = Bytes::from(event.json);
        if event.kind == EventKind::Queued && details.contains_key("start_by") {
            // Not stored: whoever misses it looks by itself from time to time.
            let _ = self.client.publish(DEADLINES, json.clone()).await;
        }
        let sent =
            self.jetstream.publish_with_headers(subject, headers.clone(), json.clone()).await?;
        let mut receipt = Receipt::from(sent);
        if event.kind == EventKind::Failed {
            headers.insert(async_nats::header::NATS_MESSAGE_ID, format!("{id}:dead"));
            let subject = format!("dead.{}", event.lane);
            receipt.dead_letter =
                Some(self.jetstream.publish_with_headers(subject, headers, json).await?);
        }
        Ok(receipt)
    }

    /// Rings a lane: it may hold work. `job_id` says why, for people who look.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; then it was not sent.
    pub async fn ring(&self, lane: &LaneName, job_id: Option<JobId>) -> Result<Receipt, Refusal> {
        let bell = json!({ "job_id": job_id, "lane": lane }).to_string();
        Ok(self.jetstream.publish(format!("work.{lane}"), bell.into()).await?.into())
    }

    /// Sends a chunk of an attempt's output: best effort, told apart by `n`,
    /// which counts the attempt's chunks of this kind from 1.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; then it was not sent.
    pub async fn publish_output(
        &self,
        job_id: JobId,
        attempt: i32,
        n: u32,
        progress: f32,
    ) -> Result<Receipt, Refusal> {
        let mut headers = HeaderMap::new();
        let id = format!("{job_id}:{attempt}:progress:{n}");
        headers.insert(async_nats::header::NATS_MESSAGE_ID, id);
        let chunk = json!({
            "job_id": job_id,
            "attempt": attempt,
            "kind": "progress",
            "n": n,
            "progress": progress,
        });
        let subject = format!("output.{job_id}");
        let sent =
            self.jetstream.publish_with_headers(subject, headers, chunk.to_string().into()).await?;
        Ok(sent.into())
    }
}
