//! Removing a job.

use sqlx::PgConnection;

use super::StoreError;
use super::change::change;
use crate::domain::{Change, EventKind, JobId, TenantName};

/// What removing a job brought.
#[derive(Debug)]
pub enum Deleted {
    /// It is gone; its events stay.
    Done(Change),
    /// It runs; nothing was written.
    Running,
    /// There is no such job.
    NotFound,
}

/// Removes a job that does not run.
///
/// The change is empty if the job runs or is not there.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown.
pub(super) async fn delete(
    connection: &mut PgConnection,
    tenant: &TenantName,
    id: JobId,
) -> Result<Change, StoreError> {
    let rows = query_change!(
        r#"
        WITH removed AS (
            DELETE FROM jobs
            WHERE id = $1 AND tenant = $2 AND state <> 'running'
            RETURNING *
        ),
        changed AS (
            SELECT
                id, event_seq + 1 AS event_seq, GREATEST(event_xid, ledger_xid()) AS event_xid,
                $3::text AS kind, state, attempt, lane, tenant,
                jsonb_strip_nulls(jsonb_build_object(
                    'name', name,
                    'traceparent', traceparent
                )) AS details,
                NULL AS ring
            FROM removed
        )
        "#,
        id.0,
        tenant.as_str(),
        EventKind::Deleted.as_str(),
    )
    .fetch_all(connection)
    .await?;
    change(rows)
}
