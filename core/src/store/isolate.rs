//! Running a job with a worker to itself, after two workers died with it.
//!
//! A worker first reserves the job, then makes room, then claims it. So one
//! worker makes room for it and not all.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::change::{change, rung};
use super::claim::{Claims, Unreadable, interval};
use super::reap::{GRACE_AFTER_START, SILENCE};
use super::row::{millis, object, parsed, retry};
use crate::domain::{Change, Claimed, EventKind, Frees, JobId, LaneName, Lease, WorkerId};

/// A worker that makes room runs something until it has: it is heard of more
/// often than this.
pub(super) const RESERVATION: Duration = SILENCE;

/// Reserves the lane's best job that is to run alone, and keeps to the one that
/// the worker has reserved already. One that another worker has reserved, which
/// is alive, is left to it unless this one runs nothing: who has room need not
/// wait for who makes it. Returns whether there is one; asking again does no harm.
///
/// In a lane whose starts are limited the reservation is what draws the token, so
/// that nobody makes room for a job that may not start then.
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
        WITH bucket AS MATERIALIZED (
            SELECT refilled(lane_buckets) AS tokens
            FROM lane_buckets
            WHERE lane = $1
            FOR UPDATE
        ),
        next AS MATERIALIZED (
            SELECT jobs.id, jobs.isolated_for IS NULL AS is_unpaid
            FROM jobs
            JOIN lanes ON lanes.name = jobs.lane AND lanes.paused_at IS NULL
            WHERE jobs.lane = $1
              AND jobs.state = 'queued'
              AND NOT jobs.held_by_key
              AND jobs.deaths >= 2
              AND (jobs.isolated_for IS NULL
                       AND NOT EXISTS (SELECT FROM bucket WHERE tokens < 1)
                   OR jobs.isolated_for = $2
                   OR jobs.isolated_for IS NOT NULL AND (
                       -- No join: this is asked again of a row that was reserved meanwhile.
                       NOT EXISTS (
                           SELECT
                           FROM workers
                           WHERE workers.id = jobs.isolated_for
                             AND workers.heartbeat_at >= ledger_now() - $3::interval
                       )
                       OR NOT EXISTS (
                           SELECT FROM jobs AS own WHERE own.worker = $2 AND own.state = 'running'
                       )
                   ))
            ORDER BY COALESCE(jobs.isolated_for = $2, false) DESC, jobs.rank DESC, jobs.id
            LIMIT 1
            FOR UPDATE OF jobs SKIP LOCKED
        ),
        drained AS (
            UPDATE lane_buckets
            SET tokens = bucket.tokens - 1,
                refilled_at = refilled_until(lane_buckets.refilled_at)
            FROM bucket
            WHERE lane = $1 AND EXISTS (SELECT FROM next WHERE is_unpaid)
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

/// Whom a job is reserved for that has drawn its token and that nobody makes
/// room for any more.
const NOBODY: Uuid = Uuid::nil();

/// Leaves what the worker has reserved to others, and rings for them.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; giving up again does no harm.
pub(super) async fn give_up(
    connection: &mut PgConnection,
    worker: WorkerId,
) -> Result<Change, StoreError> {
    let rows = sqlx::query!(
        r#"
        WITH freed AS (
            UPDATE jobs
            SET isolated_for = $2
            WHERE state = 'queued' AND isolated_for = $1
            RETURNING lane
        )
        INSERT INTO outbox (rings, due_at)
        SELECT array_agg(DISTINCT lane), ledger_now() + interval '1 s'
        FROM freed
        HAVING count(*) > 0
        RETURNING id, rings
        "#,
        worker.0,
        NOBODY,
    )
    .fetch_all(connection)
    .await?;
    rung(rows.into_iter().map(|row| (row.id, row.rings)))
}

/// Leaves what workers have reserved that are silent for `silence`, or not
/// known any more, to others, and rings for them.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; asking again does no harm.
pub(super) async fn give_up_for_silent(
    connection: &mut PgConnection,
    silence: Duration,
) -> Result<Change, StoreError> {
    let rows = sqlx::query!(
        r#"
        WITH freed AS (
            UPDATE jobs
            SET isolated_for = $2
            WHERE state = 'queued'
              AND isolated_for <> $2
              AND pg_postmaster_start_time() < now() - $3::interval
              AND NOT EXISTS (
                  SELECT
                  FROM workers
                  WHERE workers.id = isolated_for
                    AND workers.heartbeat_at >= ledger_now() - $1::interval
              )
            RETURNING lane
        )
        INSERT INTO outbox (rings, due_at)
        SELECT array_agg(DISTINCT lane), ledger_now() + interval '1 s'
        FROM freed
        HAVING count(*) > 0
        RETURNING id, rings
        "#,
        interval(silence),
        NOBODY,
        interval(GRACE_AFTER_START),
    )
    .fetch_all(connection)
    .await?;
    rung(rows.into_iter().map(|row| (row.id, row.rings)))
}

/// Leases the job that the worker has reserved in the lane; nothing if it is gone.
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
        WITH next AS (
            SELECT jobs.id
            FROM jobs
            JOIN lanes ON lanes.name = jobs.lane AND lanes.paused_at IS NULL
            WHERE jobs.lane = $1
              AND jobs.isolated_for = $2
              AND jobs.state = 'queued'
              AND NOT jobs.held_by_key
              AND jobs.deaths >= 2
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
