//! Rows as PostgreSQL gives them, and the way from there to the domain.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::StoreError;
use crate::domain::{Event, Job, JobId, LaneName, RetryPolicy, Unsent, WorkerId};

/// A row of `jobs`.
pub(super) struct JobRow {
    pub(super) id: Uuid,
    pub(super) tenant: String,
    pub(super) lane: String,
    pub(super) name: String,
    pub(super) tool: String,
    pub(super) params: Value,
    pub(super) priority: i32,
    pub(super) state: String,
    pub(super) attempt: i32,
    pub(super) failures: i32,
    pub(super) max_attempts: i32,
    pub(super) run_at: DateTime<Utc>,
    pub(super) start_by: Option<DateTime<Utc>>,
    pub(super) timeout_ms: Option<i64>,
    pub(super) retry: Value,
    pub(super) concurrency_key: Option<String>,
    pub(super) submitted_by: Option<String>,
    pub(super) worker: Option<Uuid>,
    pub(super) gpu_id: Option<i32>,
    pub(super) progress: Option<f32>,
    pub(super) result: Option<Value>,
    pub(super) error: Option<Value>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) finished_at: Option<DateTime<Utc>>,
    pub(super) cancel_requested_at: Option<DateTime<Utc>>,
    pub(super) event_seq: i32,
}

impl TryFrom<JobRow> for Job {
    type Error = StoreError;

    fn try_from(row: JobRow) -> Result<Self, StoreError> {
        let id = row.id;
        Ok(Self {
            id: JobId(id),
            tenant: parsed(&row.tenant, &id, "tenant")?,
            lane: parsed(&row.lane, &id, "lane")?,
            name: row.name,
            tool: parsed(&row.tool, &id, "tool")?,
            params: object(row.params, &id, "params")?,
            priority: row.priority,
            state: parsed(&row.state, &id, "state")?,
            attempt: row.attempt,
            failures: row.failures,
            max_attempts: row.max_attempts,
            run_at: row.run_at,
            start_by: row.start_by,
            retry: retry(row.retry, id)?,
            timeout: row.timeout_ms.map(|ms| millis(ms, id)).transpose()?,
            concurrency_key: row.concurrency_key,
            submitted_by: row.submitted_by,
            worker: row.worker.map(WorkerId),
            gpu_id: row.gpu_id,
            progress: row.progress,
            result: row.result,
            error: row.error.map(|error| from_json(error, id, "error")).transpose()?,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            cancel_requested_at: row.cancel_requested_at,
            event_seq: row.event_seq,
        })
    }
}

/// A row of `job_events`.
pub(super) struct EventRow {
    pub(super) job_id: Uuid,
    pub(super) seq: i32,
    pub(super) kind: String,
    pub(super) state: String,
    pub(super) attempt: i32,
    pub(super) created_at: DateTime<Utc>,
    pub(super) lane: String,
    pub(super) tenant: String,
    pub(super) xid: i64,
    pub(super) details: Value,
}

impl TryFrom<EventRow> for Event {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        let id = row.job_id;
        Ok(Self {
            job_id: JobId(id),
            seq: row.seq,
            kind: parsed(&row.kind, &id, "kind")?,
            state: parsed(&row.state, &id, "state")?,
            attempt: row.attempt,
            timestamp: row.created_at,
            lane: parsed(&row.lane, &id, "lane")?,
            tenant: parsed(&row.tenant, &id, "tenant")?,
            xid: row.xid,
            details: object(row.details, &id, "details")?,
        })
    }
}

/// An event together with its row of the outbox.
pub(super) struct UnsentRow {
    pub(super) outbox_id: i64,
    pub(super) ring: Option<String>,
    pub(super) job_id: Uuid,
    pub(super) seq: i32,
    pub(super) kind: String,
    pub(super) state: String,
    pub(super) attempt: i32,
    pub(super) created_at: DateTime<Utc>,
    pub(super) lane: String,
    pub(super) tenant: String,
    pub(super) xid: i64,
    pub(super) details: Value,
}

impl TryFrom<UnsentRow> for Unsent {
    type Error = StoreError;

    fn try_from(row: UnsentRow) -> Result<Self, StoreError> {
        let ring = lane(row.ring, row.outbox_id)?;
        let event = EventRow {
            job_id: row.job_id,
            seq: row.seq,
            kind: row.kind,
            state: row.state,
            attempt: row.attempt,
            created_at: row.created_at,
            lane: row.lane,
            tenant: row.tenant,
            xid: row.xid,
            details: row.details,
        };
        Ok(Self { outbox_id: row.outbox_id, event: Some(event.try_into()?), ring })
    }
}

/// The lane that a row of the outbox rings.
pub(super) fn lane(text: Option<String>, outbox_id: i64) -> Result<Option<LaneName>, StoreError> {
    text.map(|text| parsed(&text, &outbox_id, "ring")).transpose()
}

/// Reads text that the schema says is one of ours.
pub(super) fn parsed<T>(
    text: &str,
    row: &impl ToString,
    column: &'static str,
) -> Result<T, StoreError>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text.parse().map_err(|error: T::Err| StoreError::corrupt(row, column)(error.into()))
}

/// Reads a column that the schema says is an object.
pub(super) fn object(
    value: Value,
    row: &impl ToString,
    column: &'static str,
) -> Result<Map<String, Value>, StoreError> {
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(StoreError::corrupt(row, column)("not an object".into())),
    }
}

pub(super) fn millis(ms: i64, row: Uuid) -> Result<Duration, StoreError> {
    let ms = u64::try_from(ms).map_err(|e| StoreError::corrupt(&row, "timeout_ms")(e.into()))?;
    Ok(Duration::from_millis(ms))
}

/// Reads a policy, whose own fields the schema does not know.
pub(super) fn retry(value: Value, row: Uuid) -> Result<RetryPolicy, StoreError> {
    from_json(value, row, "retry")
}

fn from_json<T: DeserializeOwned>(
    value: Value,
    row: Uuid,
    column: &'static str,
) -> Result<T, StoreError> {
    serde_json::from_value(value).map_err(|e| StoreError::corrupt(&row, column)(e.into()))
}
