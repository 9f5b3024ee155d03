//! Server-sent events as bytes, made once for all watchers of a process.

use bytes::Bytes;
use chrono::{DateTime, Utc};
#[cfg(jetlane_mutants)]
use jetlane_core::config::Mutant;
use jetlane_core::domain::{Announcement, JobId, ResumePoint, format_timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::watcher::Wish;

/// The first frame of every stream.
pub(super) const CONNECTED: &[u8] =
    b"data: {\"type\":\"connected\",\"message\":\"SSE stream established\"}\n\n";

/// Keeps proxies from closing a quiet connection.
pub(super) const KEEPALIVE: &[u8] = b": keepalive\n\n";

/// An event ready to be written, with what watchers filter by.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) event: Announcement,
    /// Every event of a smaller ledger transaction was sent before.
    pub(super) low_water: i64,
    pub(super) bytes: Bytes,
}

impl Frame {
    /// The event as a frame. `low_water` becomes the resume point: everything
    /// below it has been shown.
    pub(super) fn new(event: Announcement, low_water: i64, sent_at: DateTime<Utc>) -> Self {
        let point = ResumePoint { xid: low_water, job_id: event.job_id, seq: event.seq };
        // The JSON is an object that was made or checked by us: it ends in `}`.
        let body = event.json.strip_suffix('}').unwrap_or(&event.json);
        let sent_at = format_timestamp(sent_at);
        let bytes = format!("id: {point}\ndata: {body},\"sent_at\":\"{sent_at}\"}}\n\n").into();
        Self { event, low_water, bytes }
    }
}

/// An id alone: clients keep it and show nothing. No event carried it, so it
/// names none.
pub(super) fn here(low_water: i64) -> Bytes {
    let point = ResumePoint { xid: low_water, job_id: JobId(Uuid::nil()), seq: 0 };
    format!("id: {point}\n\n").into()
}

/// Tells a watcher that the past it asked for is not there, and how things
/// stand now.
pub(super) fn reset(jobs: &[Value]) -> Bytes {
    let body = json!({
        "type": "reset",
        "message": "this id is not known any more: go on from these jobs, newest first",
        "jobs": jobs,
    });
    format!("event: reset\ndata: {body}\n\n").into()
}

/// Whether a watcher wants the event, and may see it.
pub(super) fn is_wanted(event: &Announcement, wish: &Wish) -> bool {
    let filter = &wish.filter;
    #[cfg(jetlane_mutants)]
    if Mutant::TenantsMixed.is_on() {
        return true;
    }
    event.tenant == wish.tenant
        && (filter.job_ids.is_empty() || filter.job_ids.contains(&event.job_id))
        && filter.lane.as_ref().is_none_or(|lane| *lane == event.lane)
        && filter.state.is_none_or(|state| state == event.state)
}
