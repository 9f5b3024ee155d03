//! Ending an attempt.

use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use super::StoreError;
use super::change::change;
use super::claim::interval;
use super::latest::latest;
use crate::domain::{
    Change, EventKind, INLINE_RESULT_LIMIT, JobError, JobState, Outcome, Settlement,
};

/// Ends attempts, each as its settlement says. Of several of one job the last attempt counts.
///
/// An attempt that would be followed by another, of a job whose end was asked
/// for meanwhile, cancels the job instead.
///
/// Of an attempt that is not the current one any more the change says nothing:
/// nothing was written, and what it brought is to be dropped.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; the call may be repeated, since a second
/// one finds the attempts settled and changes nothing.
pub(super) async fn settle(
    connection: &mut PgConnection,
    settlements: &[Settlement],
) -> Result<Change, StoreError> {
    let ends = Columns::of(settlements);
    let rows = query_change!(
        r#"
        WITH locked AS MATERIALIZED (
            -- In the order in which renewals lock: else each could have what the other waits for.
            SELECT id FROM jobs WHERE id = ANY($2) ORDER BY id FOR UPDATE
        ),
        settled AS (
            UPDATE jobs
            SET (state, failures, run_at, aged, result, error, progress, finished_at) = (
                    SELECT
                        CASE
                            WHEN cancel_requested_at IS NOT NULL AND NOT asked.is_end
                            THEN 'cancelled'
                            ELSE asked.state
                        END,
                        failures + asked.charge,
                        COALESCE(ledger_now() + asked.retry_after, run_at),
                        -- The lane's ageing may have changed while the job ran.
                        CASE
                            WHEN asked.is_end THEN aged
                            ELSE aged(
                                created_at,
                                (SELECT ageing_s FROM lanes WHERE lanes.name = jobs.lane)
                            )
                        END,
                        asked.result,
                        COALESCE(asked.error, jobs.error),
                        CASE WHEN asked.state = 'completed' THEN 1 ELSE progress END,
                        CASE
                            WHEN cancel_requested_at IS NOT NULL OR asked.is_end
                            THEN ledger_now()
                        END
                    -- By the place among the ids, which are sorted. A join may look through
                    -- all settlements for each.
                    FROM (SELECT width_bucket(jobs.id, $2::uuid[]) AS place) AS found
                    CROSS JOIN LATERAL (
                        SELECT
                            ($4::text[])[place] AS state,
                            ($4::text[])[place] NOT IN ('scheduled', 'queued') AS is_end,
                            ($5::int[])[place] AS charge,
                            ($6::interval[])[place] AS retry_after,
                            ($7::jsonb[])[place] AS result,
                            ($8::jsonb[])[place] AS error
                    ) AS asked
                ),
                lease_expires_at = NULL,
                event_seq = event_seq + 1,
                event_xid = GREATEST(event_xid, ledger_xid())
            WHERE id = ANY(ARRAY(SELECT id FROM locked))
              AND attempt = ($3::int[])[width_bucket(id, $2::uuid[])]
              -- That is, it runs. By its state, the index of all that run could be taken, and
              -- that has all that ran of late.
              AND lease_expires_at IS NOT NULL
            RETURNING *, ($9::jsonb[])[width_bucket(id, $2::uuid[])] AS details
        ),
        changed AS (
            SELECT
                id, event_seq, event_xid,
                CASE WHEN state = 'queued' THEN $1 ELSE state END AS kind,
                state, attempt, lane, tenant,
                jsonb_strip_nulls(jsonb_build_object(
                    'name', name,
                    'worker', worker,
                    'gpu_id', gpu_id,
                    'run_at', CASE WHEN state = 'scheduled' THEN run_at END,
                    'traceparent', traceparent
                )) || details AS details,
                CASE WHEN state = 'queued' THEN lane END AS ring
            FROM settled
        )
        "#,
        EventKind::Released.as_str(),
        &ends.ids,
        &ends.attempts,
        &ends.states,
        &ends.charges,
        &ends.retries_after as &[Option<PgInterval>],
        &ends.results as &[Option<Value>],
        &ends.errors as &[Option<Value>],
        &ends.details,
    )
    .fetch_all(connection)
    .await?;
    change(rows)
}

/// Settlements, turned into the columns that one statement takes.
#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    attempts: Vec<i32>,
    states: Vec<String>,
    charges: Vec<i32>,
    retries_after: Vec<Option<PgInterval>>,
    results: Vec<Option<Value>>,
    errors: Vec<Option<Value>>,
    details: Vec<Value>,
}

impl Columns {
    fn of(settlements: &[Settlement]) -> Self {
        let mut columns = Self::default();
        for settlement in latest(settlements, |settlement| settlement.lease) {
            let end = End::of(settlement);
            columns.ids.push(settlement.lease.job_id.0);
            columns.attempts.push(settlement.lease.attempt);
            columns.states.push(end.state.as_str().to_owned());
            columns.charges.push(end.charge);
            columns.retries_after.push(end.retry_after.map(interval));
            columns.results.push(end.result.cloned());
            columns.errors.push(end.error.map(|error| json!(error)));
            columns.details.push(Value::Object(end.details));
        }
        columns
    }
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
