//! Jobs by their ids.

use sqlx::PgConnection;

use super::StoreError;
use super::row::JobRow;
use crate::domain::{Job, JobId, TenantName};

/// The job, if the tenant has it.
///
/// # Errors
///
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub(super) async fn find(
    connection: &mut PgConnection,
    tenant: &TenantName,
    id: JobId,
) -> Result<Option<Job>, StoreError> {
    Ok(find_each(connection, tenant, &[id]).await?.pop())
}

/// Those of the jobs that the tenant has, newest first.
///
/// # Errors
///
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub(super) async fn find_each(
    connection: &mut PgConnection,
    tenant: &TenantName,
    ids: &[JobId],
) -> Result<Vec<Job>, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    sqlx::query_as!(
        JobRow,
        r#"
        SELECT id, tenant, lane, name, tool, params, priority, state, attempt, failures,
               max_attempts, run_at, start_by, timeout_ms, retry, concurrency_key, submitted_by, worker, gpu_id,
               progress, result, error, created_at, started_at, finished_at,
               cancel_requested_at, event_seq
        FROM jobs
        WHERE id = ANY($1) AND tenant = $2
        ORDER BY id DESC
        "#,
        &ids,
        tenant.as_str(),
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}
