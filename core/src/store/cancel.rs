//! Asking for a job's end.

use sqlx::PgConnection;

use super::StoreError;
use super::change::change;
use crate::domain::{Change, EventKind, JobId, JobState, TenantName};

/// What asking for a job's end brought.
#[derive(Debug)]
pub enum Cancelled {
    /// It was waiting and is cancelled now, or runs and will be: tell the worker.
    Accepted(Change),
    /// Its end was asked for before; nothing was written.
    Already,
    /// It ended otherwise before; nothing was written.
    Final(JobState),
    /// There is no such job.
    NotFound,
}

/// Cancels a waiting job, or marks a running one for its worker to stop.
///
/// The change is empty if the job is final, was marked before, or is not there.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; asking again does no harm.
pub(super) async fn cancel(
    connection: &mut PgConnection,
    tenant: &TenantName,
    id: JobId,
) -> Result<Change, StoreError> {
    let rows = query_change!(
        r#"
        WITH marked AS (
            UPDATE jobs
            SET state = CASE WHEN state = 'running' THEN state ELSE 'cancelled' END,
                cancel_requested_at = ledger_now(),
                finished_at = CASE WHEN state = 'running' THEN NULL ELSE ledger_now() END,
                held_by_key = false,
                event_seq = event_seq + 1,
                event_xid = GREATEST(event_xid, ledger_xid())
            WHERE id = $1
              AND tenant = $2
              AND state IN ('scheduled', 'queued', 'running')
              AND cancel_requested_at IS NULL
            RETURNING *
        ),
        changed AS (
            SELECT
                id, event_seq, event_xid,
                CASE WHEN state = 'running' THEN $3 ELSE state END AS kind,
                state, attempt, lane, tenant,
                jsonb_strip_nulls(jsonb_build_object(
                    'name', name,
                    'worker', CASE WHEN state = 'running' THEN worker END,
                    'traceparent', traceparent
                )) AS details,
                NULL AS ring
            FROM marked
        )
        "#,
        id.0,
        tenant.as_str(),
        EventKind::CancelRequested.as_str(),
    )
    .fetch_all(connection)
    .await?;
    change(rows)
}
