//! Listening to job events as they happen.
//!
//! Plain subscriptions, not consumers: NATS keeps nothing per listener, a
//! listener that dies leaves nothing behind, and an event arrives before it is
//! even stored. What a listener misses it finds in the ledger.

use std::time::Duration;

use async_nats::{Message, Subscriber};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use serde::Deserialize;

use super::publish::{DEADLINES, TENANT_HEADER, XID_HEADER};
use super::{Messaging, MessagingError};
use crate::domain::{Announcement, EventKind, JobId};

/// What came over the feed.
#[derive(Debug)]
pub enum Received {
    /// An event.
    Event(Announcement),
    /// Something that is no event of ours: count it and go on.
    Foreign,
}

/// All job events.
#[derive(Debug)]
pub struct Feed(Subscriber);

impl Feed {
    /// The next message; `None` once the client is closed.
    pub async fn next(&mut self) -> Option<Received> {
        let message = self.0.next().await?;
        Some(read(&message).map_or(Received::Foreign, Received::Event))
    }
}

fn read(message: &Message) -> Option<Announcement> {
    let headers = message.headers.as_ref()?;
    let tenant = headers.get(TENANT_HEADER)?.as_str().parse().ok()?;
    let xid = headers.get(XID_HEADER)?.as_str().parse().ok()?;
    let json = String::from_utf8(message.payload.to_vec()).ok()?;
    Announcement::parse(tenant, xid, json).ok()
}

/// Jobs that become due, or are to be started, later: so that somebody sets a timer.
#[derive(Debug)]
pub struct Postponements {
    scheduled: Subscriber,
    /// An update can move a due time too.
    updated: Subscriber,
    deadlines: Subscriber,
}

#[derive(Deserialize)]
struct Postponed {
    timestamp: DateTime<Utc>,
    #[serde(alias = "start_by")]
    run_at: DateTime<Utc>,
}

impl Postponements {
    /// How long until the time that the next such job is about, counted from its
    /// event; `None` once the client is closed.
    pub async fn next(&mut self) -> Option<Duration> {
        loop {
            let message = tokio::select! {
                message = self.scheduled.next() => message?,
                message = self.updated.next() => message?,
                message = self.deadlines.next() => message?,
            };
            if let Ok(Postponed { timestamp, run_at }) = serde_json::from_slice(&message.payload) {
                return Some((run_at - timestamp).to_std().unwrap_or_default());
            }
        }
    }
}

/// Requests to stop running jobs.
#[derive(Debug)]
pub struct CancelRequests(Subscriber);

impl CancelRequests {
    /// The next job to stop; `None` once the client is closed.
    pub async fn next(&mut self) -> Option<JobId> {
        loop {
            let message = self.0.next().await?;
            // jobs.<job_id>.cancel_requested
            if let Some(id) = message.subject.split('.').nth(1).and_then(|id| id.parse().ok()) {
                return Some(id);
            }
        }
    }
}

impl Messaging {
    /// Listens to all events from now on. Survives reconnects, without what
    /// happened meanwhile.
    ///
    /// # Errors
    ///
    /// [`MessagingError::Subscribe`] if the client is closed.
    pub async fn feed(&self) -> Result<Feed, MessagingError> {
        self.subscribe("jobs.*.*").await.map(Feed)
    }

    /// Listens to jobs that become due, or are to be started, later.
    ///
    /// # Errors
    ///
    /// As [`Self::feed`].
    pub async fn postponements(&self) -> Result<Postponements, MessagingError> {
        Ok(Postponements {
            scheduled: self.subscribe(&format!("jobs.*.{}", EventKind::Scheduled)).await?,
            updated: self.subscribe(&format!("jobs.*.{}", EventKind::Updated)).await?,
            deadlines: self.subscribe(DEADLINES).await?,
        })
    }

    /// Listens to requests to stop running jobs.
    ///
    /// # Errors
    ///
    /// As [`Self::feed`].
    pub async fn cancel_requests(&self) -> Result<CancelRequests, MessagingError> {
        self.subscribe(&format!("jobs.*.{}", EventKind::CancelRequested)).await.map(CancelRequests)
    }

    pub(super) async fn subscribe(&self, subject: &str) -> Result<Subscriber, MessagingError> {
        self.client.subscribe(subject.to_owned()).await.map_err(|error| MessagingError::Subscribe {
            subject: subject.to_owned(),
            source: error.into(),
        })
    }
}
