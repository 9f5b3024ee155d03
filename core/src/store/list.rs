//! Many jobs, a page at a time.

use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::row::JobRow;
use crate::domain::{Job, JobId, JobState, LaneName, TenantName};

/// Which jobs to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only in this state.
    pub state: Option<JobState>,
    /// Only of this lane.
    pub lane: Option<LaneName>,
    /// Only by this submitter.
    pub submitted_by: Option<String>,
}

/// A tenant's jobs, newest first, at most `limit`, and only those older than
/// `before`.
///
/// # Errors
///
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub(super) async fn list(
    connection: &mut PgConnection,
    tenant: &TenantName,
    filter: &JobFilter,
    before: Option<JobId>,
    limit: i64,
) -> Result<Vec<Job>, StoreError> {
    sqlx::query_as!(
        JobRow,
        r#"
        SELECT id, tenant, lane, name, tool, params, priority, state, attempt, failures,
               max_attempts, run_at, start_by, timeout_ms, retry, concurrency_key, submitted_by, worker, gpu_id,
               progress, result, error, created_at, started_at, finished_at,
               cancel_requested_at, event_seq
        FROM jobs
        WHERE tenant = $1
          AND ($2::text IS NULL OR state = $2)
          AND ($3::text IS NULL OR lane = $3)
          AND ($4::text IS NULL OR submitted_by = $4)
          AND id < $5
        ORDER BY id DESC
        LIMIT $6
        "#,
        tenant.as_str(),
        filter.state.map(JobState::as_str),
        filter.lane.as_ref().map(LaneName::as_str),
        filter.submitted_by,
        before.map_or(Uuid::max(), |id| id.0),
        limit,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}
