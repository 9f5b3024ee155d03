//! Accepting jobs: the moment from which they are never lost.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::row::UnsentRow;
use crate::domain::{Change, Job, JobState, NewJob, RunAt};

/// How many attempts a job has unless it or its lane says otherwise.
const DEFAULT_MAX_ATTEMPTS: i32 = 3;

/// What was written of a batch.
pub(super) struct Written {
    /// For each job asked for, in that order: the job, if it was written now.
    pub(super) jobs: Vec<Option<Job>>,
    /// What is owed to NATS.
    pub(super) change: Change,
}

struct AcceptedRow {
    max_attempts: i32,
    outbox_id: i64,
    ring: Option<String>,
    job_id: Uuid,
    seq: i32,
    kind: String,
    state: String,
    attempt: i32,
    created_at: DateTime<Utc>,
    lane: String,
    tenant: String,
    xid: i64,
    details: Value,
}

/// Writes jobs, their first events, and what is owed to NATS.
///
/// Left out are jobs of an unknown lane, those that would make their tenant's
/// part of a lane too deep, and those whose idempotency key was used before:
/// [`repeats::explain`](super::repeats::explain) tells which. A job whose key
/// is being used by another transaction waits for that one to end, for
/// `patience` at most.
///
/// Jobs with a concurrency key are written as held back by it: call
/// [`keys::readmit`](super::keys::readmit) in the same transaction.
///
/// # Errors
///
/// [`StoreError::KeyInUse`]: nothing was written. [`StoreError::Database`]:
/// unknown; with an idempotency key the same may be asked again.
#[expect(clippy::too_many_lines, reason = "one statement, with many columns")]
pub(super) async fn accept(
    connection: &mut PgConnection,
    new: &[NewJob],
    patience: Duration,
) -> Result<Written, StoreError> {
    let asked = Columns::of(new);
    let rows = sqlx::query_as!(
        AcceptedRow,
        r#"
        WITH asked AS (
            SELECT *
            FROM UNNEST(
                $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[],
                $7::int[], $8::text[], $9::int[], $10::timestamptz[], $11::timestamptz[],
                $12::bigint[], $13::jsonb[], $14::text[], $15::text[], $16::text[], $17::bytea[]
            ) AS asked (
                id, tenant, lane, name, tool, params,
                priority, submitted_by, max_attempts, run_at, start_by,
                timeout_ms, retry, concurrency_key, traceparent, idempotency_key, fingerprint
            )
        ),
        depth AS MATERIALIZED (
            SELECT
                lanes.name AS lane,
                parts.tenant,
                -- Counts no further than the limit.
                (
                    SELECT count(*)
                    FROM (
                        SELECT
                        FROM jobs
                        WHERE jobs.lane || ' ' || jobs.tenant = parts.lane || ' ' || parts.tenant
                          AND jobs.state IN ('scheduled', 'queued')
                        LIMIT lanes.max_waiting
                    ) AS waiting
                ) AS jobs
            FROM (SELECT DISTINCT lane, tenant FROM asked) AS parts
            JOIN lanes ON lanes.name = parts.lane
            WHERE lanes.max_waiting IS NOT NULL
        ),
        placed AS (
            SELECT
                asked.*,
                lanes.max_attempts AS lane_max_attempts,
                lanes.ageing_s,
                lanes.max_waiting - depth.jobs AS room,
                -- A job that is there already takes no place.
                count(*) FILTER (WHERE NOT EXISTS (
                    SELECT
                    FROM idempotency_keys AS used
                    WHERE used.tenant = asked.tenant AND used.key = asked.idempotency_key
                )) OVER (PARTITION BY asked.lane, asked.tenant ORDER BY asked.id) AS place
            FROM asked
            JOIN lanes ON lanes.name = asked.lane
            LEFT JOIN depth ON depth.lane = asked.lane AND depth.tenant = asked.tenant
        ),
        fitting AS MATERIALIZED (
            SELECT
                id, tenant, lane, name, tool, params, priority, submitted_by,
                COALESCE(max_attempts, lane_max_attempts, $18) AS max_attempts,
                COALESCE(run_at, ledger_now()) AS run_at,
                start_by, timeout_ms, retry, concurrency_key, traceparent,
                CASE WHEN run_at > ledger_now() THEN 'scheduled' ELSE 'queued' END AS state,
                aged(ledger_now(), ageing_s) AS aged,
                ledger_now() AS created_at,
                idempotency_key, fingerprint
            FROM placed
            WHERE room IS NULL OR place <= room
        ),
        patience AS (
            -- For this transaction, from the first key on.
            SELECT set_config('lock_timeout', $19, true) AS set
        ),
        keyed AS (
            INSERT INTO idempotency_keys (tenant, key, fingerprint, job_id, job, created_at)
            SELECT
                tenant, idempotency_key, fingerprint, id,
                to_jsonb(fitting) - '{aged,traceparent,idempotency_key,fingerprint}'::text[],
                created_at
            FROM fitting
            WHERE idempotency_key IS NOT NULL AND (SELECT set FROM patience) IS NOT NULL
            -- Two batches with the same keys wait for each other in one order.
            ORDER BY tenant, idempotency_key
            ON CONFLICT (tenant, key) DO NOTHING
            RETURNING job_id
        ),
        written AS (
            INSERT INTO jobs
                (id, tenant, lane, name, tool, params, priority, submitted_by, max_attempts,
                 run_at, start_by, timeout_ms, retry, concurrency_key, traceparent,
                 state, held_by_key, aged, created_at, event_xid)
            SELECT
                id, tenant, lane, name, tool, params, priority, submitted_by, max_attempts,
                run_at, start_by, timeout_ms, retry, concurrency_key, traceparent,
                state, concurrency_key IS NOT NULL AND state = 'queued', aged, created_at,
                ledger_xid()
            FROM fitting
            WHERE idempotency_key IS NULL OR id IN (SELECT job_id FROM keyed)
            RETURNING *
        ),
        accepted AS MATERIALIZED (
            SELECT
                *,
                CASE WHEN state = 'queued' AND NOT held_by_key THEN lane END AS ring,
                jsonb_strip_nulls(jsonb_build_object(
                    'name', name,
                    'run_at', CASE WHEN state = 'scheduled' THEN run_at END,
                    'start_by', CASE WHEN state = 'queued' THEN start_by END,
                    'traceparent', traceparent
                )) AS details
            FROM written
        ),
        event AS (
            INSERT INTO job_events
                (job_id, seq, kind, state, attempt, created_at, lane, tenant, xid, details)
            SELECT id, event_seq, state, state, attempt, created_at, lane, tenant, event_xid,
                   details
            FROM accepted
        ),
        owed AS (
            INSERT INTO outbox (job_ids, seqs, rings, due_at)
            SELECT
                array_agg(id ORDER BY id),
                array_agg(event_seq ORDER BY id),
                COALESCE(array_agg(DISTINCT ring) FILTER (WHERE ring IS NOT NULL), '{}'),
                ledger_now() + interval '1 s'
            FROM accepted
            HAVING count(*) > 0
            RETURNING id
        )
        SELECT
            accepted.max_attempts,
            owed.id AS "outbox_id!",
            accepted.ring,
            accepted.id AS job_id,
            accepted.event_seq AS seq,
            accepted.state AS kind,
            accepted.state,
            accepted.attempt,
            accepted.created_at,
            accepted.lane,
            accepted.tenant,
            accepted.event_xid AS xid,
            accepted.details AS "details!"
        FROM accepted
        CROSS JOIN owed
        ORDER BY accepted.id
        "#,
        &asked.ids,
        &asked.tenants,
        &asked.lanes,
        &asked.names,
        &asked.tools,
        &asked.params,
        &asked.priorities,
        &asked.submitters as &[Option<String>],
        &asked.max_attempts as &[Option<i32>],
        &asked.run_at as &[Option<DateTime<Utc>>],
        &asked.start_by as &[Option<DateTime<Utc>>],
        &asked.timeouts_ms as &[Option<i64>],
        &asked.retries,
        &asked.concurrency_keys as &[Option<String>],
        &asked.traceparents as &[Option<String>],
        &asked.idempotency_keys as &[Option<String>],
        &asked.fingerprints as &[Option<Vec<u8>>],
        DEFAULT_MAX_ATTEMPTS,
        format!("{}ms", patience.as_millis()),
    )
    .fetch_all(connection)
    .await
    .map_err(|error| {
        let any_keyed = new.iter().any(|job| job.idempotency.is_some());
        if any_keyed && waited_in_vain(&error) { StoreError::KeyInUse } else { error.into() }
    })?;

    let mut change = Change::default();
    let mut written = HashMap::with_capacity(rows.len());
    for row in rows {
        let (job_id, max_attempts) = (row.job_id, row.max_attempts);
        let unsent = crate::domain::Unsent::try_from(row.into_unsent())?;
        if let Some(event) = &unsent.event {
            written.insert(job_id, (max_attempts, event.state, event.timestamp));
        }
        change.unsent.push(unsent);
    }
    let jobs = new
        .iter()
        .map(|new| {
            let (max_attempts, state, created_at) = *written.get(&new.id.0)?;
            Some(as_written(new, max_attempts, state, created_at))
        })
        .collect();
    Ok(Written { jobs, change })
}

impl AcceptedRow {
    fn into_unsent(self) -> UnsentRow {
        UnsentRow {
            outbox_id: self.outbox_id,
            ring: self.ring,
            job_id: self.job_id,
            seq: self.seq,
            kind: self.kind,
            state: self.state,
            attempt: self.attempt,
            created_at: self.created_at,
            lane: self.lane,
            tenant: self.tenant,
            xid: self.xid,
            details: self.details,
        }
    }
}

/// Whether a lock was not to be had in time. Nothing else here waits for one
/// that is held for long.
fn waited_in_vain(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "55P03")
}

/// The jobs of a batch, turned into the columns that one statement takes.
#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    tenants: Vec<String>,
    lanes: Vec<String>,
    names: Vec<String>,
    tools: Vec<String>,
    params: Vec<Value>,
    priorities: Vec<i32>,
    submitters: Vec<Option<String>>,
    max_attempts: Vec<Option<i32>>,
    run_at: Vec<Option<DateTime<Utc>>>,
    start_by: Vec<Option<DateTime<Utc>>>,
    timeouts_ms: Vec<Option<i64>>,
    retries: Vec<Value>,
    concurrency_keys: Vec<Option<String>>,
    traceparents: Vec<Option<String>>,
    idempotency_keys: Vec<Option<String>>,
    fingerprints: Vec<Option<Vec<u8>>>,
}

impl Columns {
    fn of(new: &[NewJob]) -> Self {
        let mut columns = Self::default();
        for job in new {
            let timeout =
                job.timeout.map(|span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX));
            let idempotency = job.idempotency.as_ref();
            columns.ids.push(job.id.0);
            columns.tenants.push(job.tenant.to_string());
            columns.lanes.push(job.lane.to_string());
            columns.names.push(job.name.clone());
            columns.tools.push(job.tool.to_string());
            columns.params.push(Value::Object(job.params.clone()));
            columns.priorities.push(job.priority);
            columns.submitters.push(job.submitted_by.clone());
            columns.max_attempts.push(job.max_attempts.map(std::num::NonZeroI32::get));
            columns.run_at.push(match job.run_at {
                RunAt::Now => None,
                RunAt::At(at) => Some(at),
            });
            columns.start_by.push(job.start_by);
            columns.timeouts_ms.push(timeout);
            columns.retries.push(json!(job.retry));
            columns.concurrency_keys.push(job.concurrency_key.clone());
            columns.traceparents.push(job.traceparent.clone());
            columns.idempotency_keys.push(idempotency.map(|named| named.key.clone()));
            columns.fingerprints.push(idempotency.map(|named| named.fingerprint.to_vec()));
        }
        columns
    }
}

/// The job as its row stands, without reading it back.
fn as_written(new: &NewJob, max_attempts: i32, state: JobState, created_at: DateTime<Utc>) -> Job {
    Job {
        id: new.id,
        tenant: new.tenant.clone(),
        lane: new.lane.clone(),
        name: new.name.clone(),
        tool: new.tool,
        params: new.params.clone(),
        priority: new.priority,
        state,
        attempt: 0,
        failures: 0,
        max_attempts,
        run_at: match new.run_at {
            RunAt::Now => created_at,
            RunAt::At(at) => at,
        },
        start_by: new.start_by,
        timeout: new.timeout,
        retry: new.retry.clone(),
        concurrency_key: new.concurrency_key.clone(),
        submitted_by: new.submitted_by.clone(),
        worker: None,
        gpu_id: None,
        progress: None,
        result: None,
        error: None,
        created_at,
        started_at: None,
        finished_at: None,
        cancel_requested_at: None,
        event_seq: 1,
    }
}
