//! Making due jobs claimable, and failing those that were not started in time.

use std::time::Duration;

use serde_json::json;
use sqlx::PgConnection;

use super::StoreError;
use super::change::change;
use super::keys::Which;
use crate::domain::{Change, ErrorKind, EventKind, JobError};

/// How many jobs without a key one call promotes at most.
const BATCH: i64 = 500;

/// The same of jobs with a key: the keys stay locked until the commit.
const KEYED_BATCH: i64 = 20;

/// What a promotion did and when the next is due.
#[derive(Debug)]
pub struct Promoted {
    /// What is owed to NATS.
    pub change: Change,
    /// How long until the next job is due; `None` if none is scheduled.
    pub next_due_in: Option<Duration>,
}

/// Makes scheduled jobs whose time has come claimable, longest due first.
///
/// Those with a key are written as held back by it, unless they have begun and
/// the key is sequential: call [`keys::readmit`](super::keys::readmit) in the
/// same transaction.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; promoting again does no harm.
pub(super) async fn promote(
    connection: &mut PgConnection,
    which: Which,
) -> Result<Change, StoreError> {
    let is_keyed = which == Which::Keyed;
    let rows = query_change!(
        r#"
        WITH due AS (
            SELECT id
            FROM jobs
            WHERE state = 'scheduled'
              AND run_at <= ledger_now()
              AND (concurrency_key IS NOT NULL) = $3
            ORDER BY run_at
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        ),
        written AS (
            UPDATE jobs
            SET state = 'queued',
                held_by_key = concurrency_key IS NOT NULL AND (attempt = 0 OR NOT EXISTS (
                    SELECT
                    FROM concurrency_limits
                    WHERE concurrency_limits.tenant = jobs.tenant
                      AND concurrency_limits.name = jobs.concurrency_key
                      AND is_sequential
                )),
                event_seq = event_seq + 1,
                event_xid = GREATEST(event_xid, ledger_xid())
            WHERE id = ANY(ARRAY(SELECT id FROM due))
            RETURNING *
        ),
        changed AS (
            SELECT
                id, event_seq, event_xid, $1::text AS kind, state, attempt, lane, tenant,
                jsonb_strip_nulls(jsonb_build_object(
                    'name', name,
                    'traceparent', traceparent
                )) AS details,
                CASE WHEN NOT held_by_key THEN lane END AS ring
            FROM written
        )
        "#,
        EventKind::Queued.as_str(),
        if is_keyed { KEYED_BATCH } else { BATCH },
        is_keyed,
    )
    .fetch_all(connection)
    .await?;
    change(rows)
}

/// Fails waiting jobs that should have been started by now and never were.
///
/// Their keys may have room then: call [`keys::readmit`](super::keys::readmit)
/// in the same transaction.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; expiring again does no harm.
pub(super) async fn expire(connection: &mut PgConnection) -> Result<Change, StoreError> {
    let error = JobError {
        kind: ErrorKind::Expired,
        message: "the job was not started by its deadline".to_owned(),
    };
    let rows = query_change!(
        r#"
        WITH late AS (
            SELECT id
            FROM jobs
            WHERE started_at IS NULL
              AND state IN ('scheduled', 'queued')
              AND start_by <= ledger_now()
            ORDER BY start_by
            LIMIT $3
            FOR UPDATE SKIP LOCKED
        ),
        written AS (
            UPDATE jobs
            SET state = 'failed',
                held_by_key = false,
                error = $2,
                finished_at = ledger_now(),
                event_seq = event_seq + 1,
                event_xid = GREATEST(event_xid, ledger_xid())
            WHERE id = ANY(ARRAY(SELECT id FROM late))
            RETURNING *
        ),
        changed AS (
            SELECT
                id, event_seq, event_xid, $1::text AS kind, state, attempt, lane, tenant,
                jsonb_strip_nulls(jsonb_build_object(
                    'name', name,
                    'error', error,
                    'traceparent', traceparent
                )) AS details,
                NULL AS ring
            FROM written
        )
        "#,
        EventKind::Failed.as_str(),
        json!(error),
        KEYED_BATCH,
    )
    .fetch_all(connection)
    .await?;
    change(rows)
}

/// How long until the next job is due to be promoted or to be failed, zero if
/// one is overdue.
///
/// # Errors
///
/// [`StoreError::Database`]: nothing was written in any case.
pub(super) async fn next_due_in(
    connection: &mut PgConnection,
) -> Result<Option<Duration>, StoreError> {
    let seconds = sqlx::query_scalar!(
        r#"
        SELECT EXTRACT(EPOCH FROM LEAST(
            (SELECT run_at FROM jobs WHERE state = 'scheduled' ORDER BY run_at LIMIT 1),
            (
                SELECT start_by
                FROM jobs
                WHERE started_at IS NULL
                  AND state IN ('scheduled', 'queued')
                  AND start_by IS NOT NULL
                ORDER BY start_by
                LIMIT 1
            )
        ) - ledger_now())::float8 AS seconds
        "#,
    )
    .fetch_one(connection)
    .await?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
}
