//! Accepting a job: the moment from which it is never lost.

use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use super::change::change;
use crate::domain::{Change, Job, JobState, NewJob, RunAt};

/// A job that the ledger has.
#[derive(Debug)]
pub struct Accepted {
    /// The job.
    pub job: Job,
    /// What is owed to NATS.
    pub change: Change,
}

/// Writes `new`, its first event, and what is owed to NATS.
///
/// A job with a concurrency key is written as held back by it: call
/// [`keys::readmit`](super::keys::readmit) in the same transaction.
///
/// # Errors
///
/// [`StoreError::UnknownLane`], and then nothing was written.
/// [`StoreError::Database`]: unknown, see there.
pub(super) async fn accept(
    connection: &mut PgConnection,
    new: NewJob,
) -> Result<Accepted, StoreError> {
    let run_at = match new.run_at {
        RunAt::Now => None,
        RunAt::At(at) => Some(at),
    };
    let rows = query_change!(
        r#"
        WITH accepted AS (
            SELECT ledger_now() AS now, COALESCE($10, ledger_now()) AS run_at
            FROM lanes
            WHERE name = $3
        ),
        written AS (
            INSERT INTO jobs
                (id, tenant, lane, name, tool, params, priority, submitted_by, max_attempts,
                 run_at, timeout_ms, concurrency_key, traceparent,
                 state, held_by_key, created_at, event_xid)
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9,
                   run_at, $11, $12, $13,
                   CASE WHEN run_at > now THEN 'scheduled' ELSE 'queued' END,
                   $12::text IS NOT NULL AND run_at <= now, now, ledger_xid()
            FROM accepted
            RETURNING *
        ),
        changed AS (
            SELECT
                id, event_seq, event_xid, state AS kind, state, attempt, lane, tenant,
                jsonb_strip_nulls(jsonb_build_object(
                    'name', name,
                    'run_at', CASE WHEN state = 'scheduled' THEN run_at END,
                    'traceparent', traceparent
                )) AS details,
                CASE WHEN state = 'queued' AND NOT held_by_key THEN lane END AS ring
            FROM written
        )
        "#,
        new.id.0,
        new.tenant.as_str(),
        new.lane.as_str(),
        new.name,
        new.tool.as_str(),
        Value::Object(new.params.clone()),
        new.priority,
        new.submitted_by,
        new.max_attempts.get(),
        run_at,
        new.timeout.map(|timeout| i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX)),
        new.concurrency_key,
        new.traceparent,
    )
    .fetch_all(connection)
    .await?;

    let change = change(rows)?;
    let Some(event) = change.events().next() else {
        return Err(StoreError::UnknownLane(new.lane));
    };
    let (state, created_at, event_seq) = (event.state, event.timestamp, event.seq);
    Ok(Accepted { job: as_written(new, state, created_at, event_seq), change })
}

/// The job as its row stands, without reading it back.
fn as_written(
    new: NewJob,
    state: JobState,
    created_at: chrono::DateTime<chrono::Utc>,
    event_seq: i32,
) -> Job {
    Job {
        id: new.id,
        tenant: new.tenant,
        lane: new.lane,
        name: new.name,
        tool: new.tool,
        params: new.params,
        priority: new.priority,
        state,
        attempt: 0,
        failures: 0,
        max_attempts: new.max_attempts.get(),
        run_at: match new.run_at {
            RunAt::Now => created_at,
            RunAt::At(at) => at,
        },
        timeout: new.timeout,
        concurrency_key: new.concurrency_key,
        submitted_by: new.submitted_by,
        worker: None,
        gpu_id: None,
        progress: None,
        result: None,
        error: None,
        created_at,
        started_at: None,
        finished_at: None,
        cancel_requested_at: None,
        event_seq,
    }
}
