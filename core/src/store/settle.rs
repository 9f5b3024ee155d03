//! Ending an attempt.

use serde_json::{Map, Value, json};
use sqlx::PgConnection;

use super::StoreError;
use super::change::change;
use super::claim::interval;
use crate::domain::{
    Change, EventKind, INLINE_RESULT_LIMIT, JobError, JobState, Outcome, Settlement,
};

/// Ends the attempt as `settlement` says.
///
/// An attempt that would be followed by another, of a job whose end was asked
/// for meanwhile, cancels the job instead.
///
/// The change is empty if the attempt is not the current one any more: nothing
/// was written, and what it brought is to be dropped.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; the call may be repeated, since a second
/// one finds the attempt settled and changes nothing.
pub(super) async fn settle(
    connection: &mut PgConnection,
    settlement: &Settlement,
) -> Result<Change, StoreError> {
    let lease = settlement.lease;
    let end = End::of(settlement);
    let rows = query_change!(
        r#"
        WITH settled AS (
            UPDATE jobs
            SET state = CASE
                    WHEN cancel_requested_at IS NOT NULL AND $3 IN ('scheduled', 'queued')
                    THEN 'cancelled'
                    ELSE $3
                END,
                failures = failures + $5,
                run_at = COALESCE(ledger_now() + $6, run_at),
                -- The lane's ageing may have changed while the job ran.
                aged = CASE
                    WHEN $3 IN ('scheduled', 'queued')
                    THEN aged(created_at, (SELECT ageing_s FROM lanes WHERE lanes.name = jobs.lane))
                    ELSE aged
                END,
                result = $7,
                error = COALESCE($8, error),
                progress = CASE WHEN $3 = 'completed' THEN 1 ELSE progress END,
                finished_at = CASE
                    WHEN cancel_requested_at IS NOT NULL OR $3 NOT IN ('scheduled', 'queued')
                    THEN ledger_now()
                END,
                lease_expires_at = NULL,
                event_seq = event_seq + 1,
                event_xid = GREATEST(event_xid, ledger_xid())
            WHERE id = $1 AND attempt = $2 AND state = 'running'
            RETURNING *
        ),
        changed AS (
            SELECT
                id, event_seq, event_xid,
                CASE WHEN state = 'queued' THEN $4 ELSE state END AS kind,
                state, attempt, lane, tenant,
                jsonb_strip_nulls(jsonb_build_object(
                    'name', name,
                    'worker', worker,
                    'gpu_id', gpu_id,
                    'run_at', CASE WHEN state = 'scheduled' THEN run_at END,
                    'traceparent', traceparent
                )) || $9 AS details,
                CASE WHEN state = 'queued' THEN lane END AS ring
            FROM settled
        )
        "#,
        lease.job_id.0,
        lease.attempt,
        end.state.as_str(),
        EventKind::Released.as_str(),
        end.charge,
        end.retry_after.map(interval),
        end.result,
        end.error.map(|error| json!(error)),
        Value::Object(end.details),
    )
    .fetch_all(connection)
    .await?;
    change(rows)
}

/// What an outcome means for the job's row and for its event.
struct End<'a> {
    state: JobState,
    charge: i32,
    retry_after: Option<std::time::Duration>,
    result: Option<&'a Value>,
    error: Option<&'a JobError>,
    details: Map<String, Value>,
}

impl<'a> End<'a> {
    fn of(settlement: &'a Settlement) -> Self {
        let mut details = Map::new();
        let seconds = settlement.execution_time.as_secs_f64();
        details.insert("execution_time".into(), json!(seconds));

        let bare = |state, charge| Self {
            state,
            charge,
            retry_after: None,
            result: None,
            error: None,
            details: Map::new(),
        };
        let mut end = match &settlement.outcome {
            Outcome::Completed { result } => {
                Self { result: result.as_ref(), ..bare(JobState::Completed, 0) }
            }
            Outcome::Retry { after, error } => Self {
                retry_after: Some(*after),
                error: Some(error),
                ..bare(JobState::Scheduled, 1)
            },
            Outcome::Failed { error } => Self { error: Some(error), ..bare(JobState::Failed, 1) },
            Outcome::Cancelled => bare(JobState::Cancelled, 0),
            Outcome::Released => bare(JobState::Queued, 0),
        };

        if let Some(error) = end.error {
            details.insert("error".into(), json!(error));
        }
        if let Some(result) = end.result {
            if result.to_string().len() <= INLINE_RESULT_LIMIT {
                details.insert("result".into(), result.clone());
            } else {
                let url = format!("/jobs/{}/result", settlement.lease.job_id);
                details.insert("result_url".into(), json!(url));
            }
        }
        end.details = details;
        end
    }
}
