//! Taking jobs to run.

use std::mem;
use std::time::Duration;

use serde_json::Value;
use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;

use super::StoreError;
use super::row::{UnsentRow, millis, object, parsed};
use crate::domain::{Change, Claimed, JobId, LaneName, Lease, WorkerId};

/// What a worker asks for.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Where to look.
    pub lane: LaneName,
    /// For whom.
    pub worker: WorkerId,
    /// The free GPUs: one job at most for each.
    pub gpu_ids: Vec<i32>,
    /// How long the lease holds unless renewed.
    pub lease: Duration,
}

/// What a claim brought.
#[derive(Debug, Default)]
pub struct Claims {
    /// In the order in which they are to run.
    pub jobs: Vec<Claimed>,
    /// Claimed all the same, and not to be run: fail them, or they are claimed
    /// again and again.
    pub unreadable: Vec<Unreadable>,
    /// What is owed to NATS.
    pub change: Change,
}

/// A claimed job whose row cannot be read, such as one for a tool that only
/// newer workers know.
#[derive(Debug)]
pub struct Unreadable {
    /// The right to fail it.
    pub lease: Lease,
    /// Whether its end frees a concurrency key.
    pub is_keyed: bool,
    /// What is wrong with it.
    pub error: StoreError,
}

struct ClaimedRow {
    outbox_id: i64,
    name: String,
    tool: String,
    params: Value,
    gpu_id: i32,
    failures: i32,
    max_attempts: i32,
    timeout_ms: Option<i64>,
    is_keyed: bool,
    traceparent: Option<String>,
    job_id: uuid::Uuid,
    seq: i32,
    kind: String,
    state: String,
    attempt: i32,
    created_at: chrono::DateTime<chrono::Utc>,
    lane: String,
    tenant: String,
    xid: i64,
    details: Value,
}

/// Leases claimable jobs of a lane to a worker: highest priority first, then
/// oldest, one for each GPU given, in their order.
///
/// Jobs that another claim has locked are skipped, not waited for, so fewer
/// than asked for, or none, can come back although the lane holds more.
///
/// # Errors
///
/// [`StoreError::Database`]: if jobs were claimed after all, the reaper gives
/// them back. [`StoreError::Corrupt`], of an event of ours: likewise.
pub(super) async fn claim(
    connection: &mut PgConnection,
    claim: &Claim,
) -> Result<Claims, StoreError> {
    let rows = sqlx::query_as!(
        ClaimedRow,
        r#"
        WITH candidate AS MATERIALIZED (
            SELECT id, priority
            FROM jobs
            WHERE lane = $1 AND state = 'queued' AND NOT held_by_key
            ORDER BY priority DESC, id
            LIMIT cardinality($3::int[])
            FOR UPDATE SKIP LOCKED
        ),
        next AS (
            SELECT id, row_number() OVER (ORDER BY priority DESC, id) AS place
            FROM candidate
        ),
        changed AS (
            UPDATE jobs
            SET state = 'running',
                attempt = attempt + 1,
                worker = $2,
                gpu_id = ($3::int[])[next.place],
                lease_expires_at = ledger_now() + $4,
                started_at = ledger_now(),
                progress = NULL,
                event_seq = event_seq + 1,
                event_xid = GREATEST(event_xid, ledger_xid())
            FROM next
            WHERE jobs.id = next.id
            RETURNING jobs.*, next.place
        ),
        event AS (
            INSERT INTO job_events
                (job_id, seq, kind, state, attempt, created_at, lane, tenant, xid, details)
            SELECT id, event_seq, state, state, attempt, ledger_now(), lane, tenant, event_xid,
                   jsonb_strip_nulls(jsonb_build_object(
                       'name', name,
                       'worker', worker,
                       'gpu_id', gpu_id,
                       'traceparent', traceparent
                   ))
            FROM changed
            RETURNING *
        ),
        owed AS (
            INSERT INTO outbox (job_id, seq, due_at)
            SELECT id, event_seq, ledger_now() + interval '1 s'
            FROM changed
            RETURNING id, job_id
        )
        SELECT
            owed.id AS outbox_id,
            changed.name,
            changed.tool,
            changed.params,
            changed.gpu_id AS "gpu_id!",
            changed.failures,
            changed.max_attempts,
            changed.timeout_ms,
            changed.concurrency_key IS NOT NULL AS "is_keyed!",
            changed.traceparent,
            event.job_id,
            event.seq,
            event.kind,
            event.state,
            event.attempt,
            event.created_at,
            event.lane,
            event.tenant,
            event.xid,
            event.details
        FROM changed
        JOIN event ON event.job_id = changed.id
        JOIN owed ON owed.job_id = changed.id
        ORDER BY changed.place
        "#,
        claim.lane.as_str(),
        claim.worker.0,
        &claim.gpu_ids,
        interval(claim.lease),
    )
    .fetch_all(connection)
    .await?;

    let mut claims = Claims::default();
    for mut row in rows {
        claims.change.unsent.push(row.take_unsent().try_into()?);
        let lease = Lease { job_id: JobId(row.job_id), attempt: row.attempt };
        let is_keyed = row.is_keyed;
        match row.into_job(lease, claim.lane.clone()) {
            Ok(job) => claims.jobs.push(job),
            Err(error) => claims.unreadable.push(Unreadable { lease, is_keyed, error }),
        }
    }
    Ok(claims)
}

impl ClaimedRow {
    /// The event and its row of the outbox, which the rest does not need.
    fn take_unsent(&mut self) -> UnsentRow {
        UnsentRow {
            outbox_id: self.outbox_id,
            ring: None,
            job_id: self.job_id,
            seq: self.seq,
            kind: mem::take(&mut self.kind),
            state: mem::take(&mut self.state),
            attempt: self.attempt,
            created_at: self.created_at,
            lane: mem::take(&mut self.lane),
            tenant: mem::take(&mut self.tenant),
            xid: self.xid,
            details: self.details.take(),
        }
    }

    fn into_job(self, lease: Lease, lane: LaneName) -> Result<Claimed, StoreError> {
        let id = self.job_id;
        Ok(Claimed {
            lease,
            lane,
            name: self.name,
            tool: parsed(&self.tool, &id, "tool")?,
            params: object(self.params, &id, "params")?,
            gpu_id: self.gpu_id,
            failures: self.failures,
            max_attempts: self.max_attempts,
            timeout: self.timeout_ms.map(|ms| millis(ms, id)).transpose()?,
            is_keyed: self.is_keyed,
            traceparent: self.traceparent,
        })
    }
}

/// A span of time as PostgreSQL takes it, to the microsecond.
pub(super) fn interval(span: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(span.as_micros()).unwrap_or(i64::MAX),
    }
}
