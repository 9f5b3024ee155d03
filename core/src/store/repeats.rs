//! Why a job was not written: it was before, or it may not be.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::row::{millis, parsed};
use crate::domain::{Job, JobId, JobState, LaneName, NewJob, RetryPolicy};

/// What became of a job that was to be accepted.
#[derive(Debug)]
pub enum Acceptance {
    /// It is the ledger's now, and never lost.
    Accepted(Box<Job>),
    /// The same request was accepted before: this is the job as it was then.
    Repeated(Box<Job>),
    /// It is not accepted, and nothing of it was written.
    Refused(Refused),
}

/// Why a job is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such lane.
    UnknownLane(LaneName),
    /// Its idempotency key was used for another request.
    KeyReused,
    /// Another request with its idempotency key is under way, and has been for
    /// some time.
    KeyInUse,
    /// So many jobs of its tenant wait in its lane already.
    LaneFull {
        /// Which lane.
        lane: LaneName,
        /// The limit.
        limit: i32,
    },
    /// The ledger does not take what it holds. Others of its batch may be accepted.
    Untakable,
    /// The ledger did not answer, after it had accepted others of its batch:
    /// unknown. It may be offered again under an idempotency key.
    Unavailable,
    /// Others of its batch were refused, and it was to be all or nothing.
    WithTheOthers,
}

/// The job as an idempotency key remembers it.
#[derive(Deserialize)]
struct Original {
    id: Uuid,
    tenant: String,
    lane: String,
    name: String,
    tool: String,
    params: Map<String, Value>,
    priority: i32,
    submitted_by: Option<String>,
    max_attempts: i32,
    run_at: DateTime<Utc>,
    start_by: Option<DateTime<Utc>>,
    timeout_ms: Option<i64>,
    retry: RetryPolicy,
    concurrency_key: Option<String>,
    state: JobState,
    created_at: DateTime<Utc>,
}

/// Why these jobs were not written by [`accept`](super::accept::accept), each
/// in its place. A key that was used before comes first: a repeated request is
/// answered as it was, whatever has become of its lane.
///
/// # Errors
///
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub(super) async fn explain(
    connection: &mut PgConnection,
    left_out: &[&NewJob],
) -> Result<Vec<Acceptance>, StoreError> {
    let tenants: Vec<_> = left_out.iter().map(|job| job.tenant.to_string()).collect();
    let lanes: Vec<_> = left_out.iter().map(|job| job.lane.to_string()).collect();
    let keys: Vec<_> =
        left_out.iter().map(|job| Some(job.idempotency.as_ref()?.key.clone())).collect();
    let rows = sqlx::query!(
        r#"
        SELECT
            lanes.name IS NOT NULL AS "is_lane!",
            lanes.max_waiting AS "max_waiting?",
            used.fingerprint AS "fingerprint?",
            used.job AS "job?"
        FROM UNNEST($1::text[], $2::text[], $3::text[])
            WITH ORDINALITY AS asked (tenant, lane, key, place)
        LEFT JOIN lanes ON lanes.name = asked.lane
        LEFT JOIN idempotency_keys AS used
            ON used.tenant = asked.tenant AND used.key = asked.key
        ORDER BY asked.place
        "#,
        &tenants,
        &lanes,
        &keys as &[Option<String>],
    )
    .fetch_all(connection)
    .await?;

    let mut acceptances = Vec::with_capacity(rows.len());
    for (row, new) in rows.into_iter().zip(left_out) {
        let is_same = new
            .idempotency
            .as_ref()
            .zip(row.fingerprint)
            .map(|(asked, used)| asked.fingerprint[..] == used[..]);
        acceptances.push(match (is_same, row.job, row.max_waiting) {
            (Some(true), Some(job), _) => Acceptance::Repeated(Box::new(original(new.id, job)?)),
            (Some(_), _, _) => Acceptance::Refused(Refused::KeyReused),
            _ if !row.is_lane => Acceptance::Refused(Refused::UnknownLane(new.lane.clone())),
            (None, _, Some(limit)) => {
                Acceptance::Refused(Refused::LaneFull { lane: new.lane.clone(), limit })
            }
            // The key's row, or the lane's limit, went away meanwhile.
            (None, _, None) => return Err(StoreError::Abandoned),
        });
    }
    Ok(acceptances)
}

fn original(asked: JobId, job: Value) -> Result<Job, StoreError> {
    let row: Original = serde_json::from_value(job)
        .map_err(|error| StoreError::corrupt(&asked, "job")(error.into()))?;
    let id = row.id;
    Ok(Job {
        id: JobId(id),
        tenant: parsed(&row.tenant, &id, "tenant")?,
        lane: parsed(&row.lane, &id, "lane")?,
        name: row.name,
        tool: parsed(&row.tool, &id, "tool")?,
        params: row.params,
        priority: row.priority,
        state: row.state,
        attempt: 0,
        failures: 0,
        max_attempts: row.max_attempts,
        run_at: row.run_at,
        start_by: row.start_by,
        timeout: row.timeout_ms.map(|ms| millis(ms, id)).transpose()?,
        retry: row.retry,
        concurrency_key: row.concurrency_key,
        submitted_by: row.submitted_by,
        worker: None,
        gpu_id: None,
        progress: None,
        result: None,
        error: None,
        created_at: row.created_at,
        started_at: None,
        finished_at: None,
        cancel_requested_at: None,
        event_seq: 1,
    })
}
