//! Dead letters: finding them, and giving them another chance.

use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::change::change;
use crate::domain::{Change, ErrorKind, EventKind, JobId, LaneName, TenantName, Tool};

/// Which dead letters. What is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadFilter {
    /// Only these jobs; empty for all.
    pub job_ids: Vec<JobId>,
    /// Only of this lane.
    pub lane: Option<LaneName>,
    /// Only of this tool.
    pub tool: Option<Tool>,
    /// Only those that failed so.
    pub error: Option<ErrorKind>,
    /// Only by this submitter.
    pub submitted_by: Option<String>,
}

/// A tenant's dead letters, newest job first, at most `limit`, and only those
/// older than `before`.
///
/// # Errors
///
/// [`StoreError::Database`].
pub(super) async fn find(
    connection: &mut PgConnection,
    tenant: &TenantName,
    filter: &DeadFilter,
    before: Option<JobId>,
    limit: i64,
) -> Result<Vec<JobId>, StoreError> {
    let ids: Vec<_> = filter.job_ids.iter().map(|id| id.0).collect();
    let found = sqlx::query_scalar!(
        r#"
        SELECT id
        FROM jobs
        WHERE tenant = $1
          AND state = 'failed'
          AND (cardinality($2::uuid[]) = 0 OR id = ANY($2))
          AND ($3::text IS NULL OR lane = $3)
          AND ($4::text IS NULL OR tool = $4)
          AND ($5::text IS NULL OR error ->> 'type' = $5)
          AND ($6::text IS NULL OR submitted_by = $6)
          AND id < $7
        ORDER BY id DESC
        LIMIT $8
        "#,
        tenant.as_str(),
        &ids,
        filter.lane.as_ref().map(LaneName::as_str),
        filter.tool.map(Tool::as_str),
        filter.error.map(ErrorKind::as_str),
        filter.submitted_by,
        before.map_or(Uuid::max(), |id| id.0),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(JobId).collect())
}

/// Gives dead letters another chance: no failure and no death is charged any
/// more, and no deadline to start. Those that are no dead letters any more are
/// left out.
///
/// Jobs with a concurrency key are written as held back by it: call
/// [`keys::readmit`](super::keys::readmit) in the same transaction.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; asking again does no harm.
pub(super) async fn redrive(
    connection: &mut PgConnection,
    tenant: &TenantName,
    ids: &[JobId],
) -> Result<Change, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let rows = query_change!(
        r#"
        WITH dead AS (
            SELECT id
            FROM jobs
            WHERE id = ANY($1) AND tenant = $2 AND state = 'failed'
            ORDER BY id
            FOR UPDATE
        ),
        written AS (
            UPDATE jobs
            SET state = 'queued',
                held_by_key = concurrency_key IS NOT NULL,
                -- The lane's ageing may have changed while the job did not wait.
                aged = aged(
                    jobs.created_at,
                    (SELECT ageing_s FROM lanes WHERE lanes.name = jobs.lane)
                ),
                failures = 0,
                deaths = 0,
                isolated_for = NULL,
                start_by = NULL,
                run_at = ledger_now(),
                finished_at = NULL,
                cancel_requested_at = NULL,
                progress = NULL,
                event_seq = event_seq + 1,
                event_xid = GREATEST(event_xid, ledger_xid())
            FROM dead
            WHERE jobs.id = dead.id
            RETURNING jobs.*
        ),
        changed AS (
            SELECT
                id, event_seq, event_xid, $3::text AS kind, state, attempt, lane, tenant,
                jsonb_strip_nulls(jsonb_build_object(
                    'name', name,
                    'traceparent', traceparent
                )) AS details,
                CASE WHEN NOT held_by_key THEN lane END AS ring
            FROM written
        )
        "#,
        &ids,
        tenant.as_str(),
        EventKind::Redriven.as_str(),
    )
    .fetch_all(connection)
    .await?;
    change(rows)
}

/// Removes dead letters for good; their events stay. Those that are no dead
/// letters any more are left out.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; asking again does no harm.
pub(super) async fn purge(
    connection: &mut PgConnection,
    tenant: &TenantName,
    ids: &[JobId],
) -> Result<Change, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let rows = query_change!(
        r#"
        WITH dead AS (
            SELECT id
            FROM jobs
            WHERE id = ANY($1) AND tenant = $2 AND state = 'failed'
            ORDER BY id
            FOR UPDATE
        ),
        removed AS (
            DELETE FROM jobs
            WHERE id = ANY(ARRAY(SELECT id FROM dead))
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
        &ids,
        tenant.as_str(),
        EventKind::Deleted.as_str(),
    )
    .fetch_all(connection)
    .await?;
    change(rows)
}
