//! Running a job with a worker to itself, after two workers died with it.
//!
//! A worker first reserves the job, then makes room, then claims it. So one
//! worker makes room for it and not all.

use std::time::Duration;

use sqlx::PgConnection;

use super::StoreError;
use super::change::change;
use super::claim::{Claims, Unreadable, interval};
use super::reap::SILENCE;
use super::row::{millis, object, parsed, retry};
use crate::domain::{Change, Claimed, EventKind, Frees, JobId, LaneName, Lease, WorkerId};

/// A worker that makes room runs something until it has: it is heard of more
/// often than this.
const RESERVATION: Duration = SILENCE;

/// Reserves the lane's best job that is to run alone. One that another worker
/// has reserved, which is alive, is left to it unless this one runs nothing:
/// who has room need not wait for who makes it. Returns whether there is one;
/// asking again does no harm.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown.
pub(super) async fn reserve(
    connection: &mut PgConnection,
    lane: &LaneName,
    worker: WorkerId,
) -> Result<bool, StoreError> {
    let reserved = sqlx::query!(
        r#"
        WITH next AS (
            SELECT jobs.id
            FROM jobs
            JOIN lanes ON lanes.name = jobs.lane AND lanes.paused_at IS NULL
            LEFT JOIN workers ON workers.id = jobs.isolated_for
            WHERE jobs.lane = $1
              AND jobs.state = 'queued'
              AND NOT jobs.held_by_key
              AND jobs.deaths >= 2
              AND (jobs.isolated_for IS NULL
                   OR jobs.isolated_for = $2
                   OR workers.heartbeat_at IS NULL
                   OR workers.heartbeat_at < ledger_now() - $3::interval
                   OR NOT EXISTS (
                       SELECT FROM jobs AS own WHERE own.worker = $2 AND own.state = 'running'
                   ))
            ORDER BY jobs.rank DESC, jobs.id
            LIMIT 1
            FOR UPDATE OF jobs SKIP LOCKED
        )
        UPDATE jobs
        SET isolated_for = $2
        FROM next
        WHERE jobs.id = next.id
        "#,
        lane.as_str(),
        worker.0,
        interval(RESERVATION),
    )
    .execute(connection)
    .await?;
    Ok(reserved.rows_affected() > 0)
}

/// What a claim of a reserved job brought.
#[derive(Debug)]
pub enum Isolated {
    /// The job, even if it cannot be read, and what is owed to NATS.
    Claimed(Box<Claims>),
    /// The lane's rate allows its start after so long.
    NotBefore(Duration),
    /// It was cancelled, removed or taken over, or the lane was paused.
    Gone,
}

/// Leases the job that the worker has reserved in the lane. Nothing if it is
/// gone, or if the lane's rate does not allow a start yet.
///
/// # Errors
///
/// [`StoreError::Database`]: if it was claimed after all, the reaper gives it back.
pub(super) async fn claim(
    connection: &mut PgConnection,
    lane: &LaneName,
    worker: WorkerId,
    gpu_id: i32,
    lease: Duration,
) -> Result<Change, StoreError> {
    let rows = query_change!(
        r#"
        WITH bucket AS MATERIALIZED (
            SELECT
                LEAST(
                    burst,
                    tokens + per_second
                        * GREATEST(0, EXTRACT(EPOCH FROM ledger_now() - refilled_at)::float8)
                ) AS tokens
            FROM lane_buckets
            WHERE lane = $1
            FOR UPDATE
        ),
        next AS MATERIALIZED (
            SELECT jobs.id
            FROM jobs
            JOIN lanes ON lanes.name = jobs.lane AND lanes.paused_at IS NULL
            WHERE jobs.lane = $1
              AND jobs.isolated_for = $2
              AND jobs.state = 'queued'
              AND NOT jobs.held_by_key
              AND jobs.deaths >= 2
              AND NOT EXISTS (SELECT FROM bucket WHERE tokens < 1)
            ORDER BY jobs.rank DESC, jobs.id
            LIMIT 1
            FOR UPDATE OF jobs SKIP LOCKED
        ),
        written AS (
            UPDATE jobs
            SET state = 'running',
                attempt = attempt + 1,
                worker = $2,
                gpu_id = $3,
                lease_expires_at = ledger_now() + $4,
                started_at = ledger_now(),
                progress = NULL,
                isolated_for = NULL,
                event_seq = event_seq + 1,
                event_xid = GREATEST(event_xid, ledger_xid())
            FROM next
            WHERE jobs.id = next.id
            RETURNING jobs.*
        ),
        drained AS (
            UPDATE lane_buckets
            SET tokens = bucket.tokens - (SELECT count(*) FROM next),
                -- A claim that began earlier must not turn it back; a clock that was set back may.
                refilled_at = CASE
                    WHEN lane_buckets.refilled_at < ledger_now() + interval '10 s'
                        THEN GREATEST(lane_buckets.refilled_at, ledger_now())
                    ELSE ledger_now()
                END
            FROM bucket
            WHERE lane = $1
        ),
        changed AS (
            SELECT
                id, event_seq, event_xid, $5::text AS kind, state, attempt, lane, tenant,
                jsonb_strip_nulls(jsonb_build_object(
                    'name', name,
                    'worker', worker,
                    'gpu_id', gpu_id,
                    'alone', true,
                    'traceparent', traceparent
                )) AS details,
                NULL AS ring
            FROM written
        )
        "#,
        lane.as_str(),
        worker.0,
        gpu_id,
        interval(lease),
        EventKind::Running.as_str(),
    )
    .fetch_all(connection)
    .await?;
    change(rows)
}

/// After how long the lane's rate allows the job to start that the worker has
/// reserved there; `None` if there is none.
///
/// # Errors
///
/// [`StoreError::Database`]: nothing was written in any case.
pub(super) async fn allowed_in(
    connection: &mut PgConnection,
    lane: &LaneName,
    worker: WorkerId,
) -> Result<Option<Duration>, StoreError> {
    let seconds = sqlx::query_scalar!(
        r#"
        SELECT COALESCE(
            (
                SELECT GREATEST(0, (1 - tokens) / per_second
                    - GREATEST(0, EXTRACT(EPOCH FROM ledger_now() - refilled_at)::float8))
                FROM lane_buckets
                WHERE lane = $1
            ),
            0
        ) AS "seconds!"
        FROM jobs
        JOIN lanes ON lanes.name = jobs.lane AND lanes.paused_at IS NULL
        WHERE jobs.lane = $1
          AND jobs.isolated_for = $2
          AND jobs.state = 'queued'
          AND NOT jobs.held_by_key
          AND jobs.deaths >= 2
        LIMIT 1
        "#,
        lane.as_str(),
        worker.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
}

/// The claimed job of which a change tells, which may be unreadable.
///
/// # Errors
///
/// [`StoreError::Database`].
pub(super) async fn claimed(
    connection: &mut PgConnection,
    lease: Lease,
    change: Change,
) -> Result<Claims, StoreError> {
    let claims = Claims { change, ..Claims::default() };
    match read(connection, lease.job_id).await {
        Ok(job) => Ok(Claims { jobs: vec![job], ..claims }),
        Err(error @ StoreError::Corrupt { .. }) => {
            // It may have a key: to look after it does no harm.
            let unreadable = Unreadable { lease, frees: Frees::Key, error };
            Ok(Claims { unreadable: vec![unreadable], ..claims })
        }
        Err(error) => Err(error),
    }
}

/// The job of an attempt that was just claimed.
///
/// # Errors
///
/// [`StoreError::Database`]; [`StoreError::Corrupt`] if it cannot be read.
pub(super) async fn read(connection: &mut PgConnection, id: JobId) -> Result<Claimed, StoreError> {
    let row = sqlx::query!(
        r#"
        SELECT
            jobs.attempt, jobs.lane, jobs.tenant, jobs.name, jobs.tool, jobs.params,
            jobs.gpu_id AS "gpu_id!",
            jobs.failures, jobs.max_attempts, jobs.timeout_ms,
            lanes.retry || jobs.retry AS "retry!",
            jobs.concurrency_key IS NOT NULL AS "is_keyed!",
            jobs.traceparent
        FROM jobs
        JOIN lanes ON lanes.name = jobs.lane
        WHERE jobs.id = $1
        "#,
        id.0,
    )
    .fetch_one(connection)
    .await?;
    let id = id.0;
    Ok(Claimed {
        lease: Lease { job_id: JobId(id), attempt: row.attempt },
        lane: parsed(&row.lane, &id, "lane")?,
        tenant: parsed(&row.tenant, &id, "tenant")?,
        name: row.name,
        tool: parsed(&row.tool, &id, "tool")?,
        params: object(row.params, &id, "params")?,
        gpu_id: row.gpu_id,
        failures: row.failures,
        max_attempts: row.max_attempts,
        timeout: row.timeout_ms.map(|ms| millis(ms, id)).transpose()?,
        retry: retry(row.retry, id)?,
        frees: if row.is_keyed { Frees::Key } else { Frees::Slot },
        traceparent: row.traceparent,
    })
}
