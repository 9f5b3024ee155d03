//! Making due jobs claimable.

use std::time::Duration;

use sqlx::PgConnection;

use super::StoreError;
use super::change::change;
use crate::domain::{Change, EventKind};

/// How many jobs one call promotes at most.
const BATCH: i64 = 500;

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
/// Jobs with a key are written as held back by it: call
/// [`keys::readmit`](super::keys::readmit) in the same transaction.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; promoting again does no harm.
pub(super) async fn promote(connection: &mut PgConnection) -> Result<Change, StoreError> {
    let rows = query_change!(
        r#"
        WITH due AS (
            SELECT id
            FROM jobs
            WHERE state = 'scheduled' AND run_at <= ledger_now()
            ORDER BY run_at
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        ),
        written AS (
            UPDATE jobs
            SET state = 'queued',
                held_by_key = concurrency_key IS NOT NULL,
                event_seq = event_seq + 1,
                event_xid = GREATEST(event_xid, ledger_xid())
            FROM due
            WHERE jobs.id = due.id
            RETURNING jobs.*
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
        BATCH,
    )
    .fetch_all(connection)
    .await?;
    change(rows)
}

/// How long until the next scheduled job is due, zero if one is overdue.
///
/// # Errors
///
/// [`StoreError::Database`]: nothing was written in any case.
pub(super) async fn next_due_in(
    connection: &mut PgConnection,
) -> Result<Option<Duration>, StoreError> {
    let seconds = sqlx::query_scalar!(
        r#"
        SELECT EXTRACT(EPOCH FROM run_at - ledger_now())::float8 AS "seconds!"
        FROM jobs
        WHERE state = 'scheduled'
        ORDER BY run_at
        LIMIT 1
        "#,
    )
    .fetch_optional(connection)
    .await?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
}
