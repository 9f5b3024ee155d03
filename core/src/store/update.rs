//! Changing the description of a job that waits.

use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use super::change::change;
use super::lanes;
use crate::domain::{Change, EventKind, JobId, JobPatch, JobState, LaneName, TenantName};

/// What changing a job brought.
#[derive(Debug)]
pub enum Updated {
    /// It is as asked.
    Done(Change),
    /// It has started or ended; nothing was written.
    TooLate(JobState),
    /// There is no such job.
    NotFound,
}

/// Changes a job that is `scheduled` or `queued`; a due time decides anew
/// which of the two it is.
///
/// The change is empty if the job does not wait or is not there. A queued job
/// with a key is written as held back by it, unless it has begun and the key is
/// sequential: call
/// [`keys::readmit`](super::keys::readmit) in the same transaction.
///
/// # Errors
///
/// [`StoreError::UnknownLane`], and then nothing was written.
/// [`StoreError::Database`]: unknown.
pub(super) async fn update(
    connection: &mut PgConnection,
    tenant: &TenantName,
    id: JobId,
    patch: JobPatch,
) -> Result<Change, StoreError> {
    if let Some(lane) = &patch.lane
        && !lanes::exists(connection, lane).await?
    {
        return Err(StoreError::UnknownLane(lane.clone()));
    }

    let rows = query_change!(
        r#"
        WITH written AS (
            UPDATE jobs
            SET name = COALESCE($3, name),
                params = COALESCE($4, params),
                priority = COALESCE($5, priority),
                submitted_by = CASE WHEN $6 THEN $7 ELSE submitted_by END,
                lane = COALESCE($8, lane),
                aged = CASE
                    WHEN $8 IS NULL THEN aged
                    ELSE aged(created_at, (SELECT ageing_s FROM lanes WHERE lanes.name = $8))
                END,
                run_at = COALESCE($9, run_at),
                state = CASE
                    WHEN $9 > ledger_now() THEN 'scheduled'
                    WHEN $9 <= ledger_now() THEN 'queued'
                    ELSE state
                END,
                held_by_key = concurrency_key IS NOT NULL
                    AND CASE
                        WHEN $9 > ledger_now() THEN false
                        WHEN $9 <= ledger_now() THEN true
                        ELSE state = 'queued'
                    END
                    -- A sequential key goes on with the job that it has begun.
                    AND (attempt = 0 OR held_by_key OR NOT EXISTS (
                        SELECT
                        FROM concurrency_limits
                        WHERE concurrency_limits.tenant = jobs.tenant
                          AND concurrency_limits.name = jobs.concurrency_key
                          AND is_sequential
                    )),
                event_seq = event_seq + 1,
                event_xid = GREATEST(event_xid, ledger_xid())
            WHERE id = $1 AND tenant = $2 AND state IN ('scheduled', 'queued')
            RETURNING *
        ),
        changed AS (
            SELECT
                id, event_seq, event_xid, $10::text AS kind, state, attempt, lane, tenant,
                jsonb_strip_nulls(jsonb_build_object(
                    'name', name,
                    'run_at', CASE WHEN state = 'scheduled' THEN run_at END,
                    'traceparent', traceparent
                )) AS details,
                CASE WHEN state = 'queued' AND NOT held_by_key THEN lane END AS ring
            FROM written
        )
        "#,
        id.0,
        tenant.as_str(),
        patch.name,
        patch.params.map(Value::Object),
        patch.priority,
        patch.submitted_by.is_some(),
        patch.submitted_by.flatten(),
        patch.lane.as_ref().map(LaneName::as_str),
        patch.run_at,
        EventKind::Updated.as_str(),
    )
    .fetch_all(connection)
    .await?;
    change(rows)
}
