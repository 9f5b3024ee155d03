//! Taking attempts away from workers that are gone.

use std::time::Duration;

use serde_json::json;
use sqlx::PgConnection;

use super::StoreError;
use super::change::change;
use super::claim::interval;
use super::keys::Which;
use crate::domain::{Change, ErrorKind, EventKind, JobError, WorkerId};

/// A worker that holds attempts renews them every 1.5 s; silent for so long, it is dead. Workers
/// and the `sweep` function must agree on it.
pub const SILENCE: Duration = Duration::from_secs(4);

/// After PostgreSQL started, nobody's silence counts for so long: it may have
/// been PostgreSQL that was away.
pub(super) const GRACE_AFTER_START: Duration = Duration::from_secs(10);

/// How many attempts one call takes away at most: their rows, and their keys,
/// stay locked until the commit.
const BATCH: i64 = 100;

/// So many deaths of workers end a job's life too.
const DEADLY: i32 = 3;

/// What reaping did and when to look again.
#[derive(Debug)]
pub struct Reaped {
    /// What is owed to NATS.
    pub change: Change,
    /// Whether there may be more to take away.
    pub is_more: bool,
    /// The workers that hold attempts, and how long until each would be silent
    /// for too long if it stayed silent.
    pub busy: Vec<(WorkerId, Duration)>,
}

/// Whether a change took away as much as one call does.
pub(super) fn is_full(change: &Change) -> bool {
    i64::try_from(change.events().count()).is_ok_and(|taken| taken >= BATCH)
}

/// Gives back the attempts of workers silent for `silence`, and those whose
/// lease has lapsed. A job whose end was asked for is cancelled; one that was
/// held by the third worker that died is quarantined; the others wait again,
/// with no failure charged. After those with a key, call
/// [`keys::readmit`](super::keys::readmit) in the same transaction.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; reaping again does no harm.
pub(super) async fn reap(
    connection: &mut PgConnection,
    silence: Duration,
    which: Which,
) -> Result<Change, StoreError> {
    let rows = query_change!(
        r#"
        WITH lost AS (
            SELECT
                jobs.id,
                jobs.deaths + death.count AS deaths,
                death.count > 0 AS is_death,
                CASE
                    WHEN jobs.cancel_requested_at IS NOT NULL THEN 'cancelled'
                    WHEN jobs.deaths + death.count >= $4 THEN 'failed'
                    ELSE 'queued'
                END AS state
            FROM jobs
            LEFT JOIN workers ON workers.id = jobs.worker
            -- A claim is a sign of life too: an idle worker's heartbeat is older
            -- than that. Of a worker that is not known only the lease counts.
            CROSS JOIN LATERAL (
                SELECT GREATEST(workers.heartbeat_at, jobs.started_at)
                    < ledger_now() - $2::interval AS is_silent
            ) AS worker
            -- A worker that lives lost the attempt, as by being cut off: that is no death.
            CROSS JOIN LATERAL (
                SELECT (worker.is_silent OR workers.id IS NULL)::int AS count
            ) AS death
            WHERE jobs.state = 'running'
              AND pg_postmaster_start_time() < now() - $3::interval
              AND (worker.is_silent AND workers.id IS NOT NULL
                   OR jobs.lease_expires_at < ledger_now())
              AND (jobs.concurrency_key IS NOT NULL) = $7
            LIMIT $6
            FOR UPDATE OF jobs SKIP LOCKED
        ),
        written AS (
            UPDATE jobs
            SET state = lost.state,
                deaths = lost.deaths,
                -- The lane's ageing may have changed while the job ran.
                aged = aged(
                    jobs.created_at,
                    (SELECT ageing_s FROM lanes WHERE lanes.name = jobs.lane)
                ),
                error = CASE WHEN lost.state = 'failed' THEN $5 ELSE error END,
                finished_at = CASE WHEN lost.state <> 'queued' THEN ledger_now() END,
                lease_expires_at = NULL,
                event_seq = event_seq + 1,
                event_xid = GREATEST(event_xid, ledger_xid())
            FROM lost
            WHERE jobs.id = lost.id AND jobs.id = ANY(ARRAY(SELECT id FROM lost))
            RETURNING jobs.*, lost.is_death
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
                    'error', CASE WHEN state = 'failed' THEN error END,
                    'traceparent', traceparent,
                    'reason', CASE WHEN is_death THEN 'worker lost' ELSE 'lease lapsed' END
                )) AS details,
                CASE WHEN state = 'queued' THEN lane END AS ring
            FROM written
        )
        "#,
        EventKind::Released.as_str(),
        interval(silence),
        interval(GRACE_AFTER_START),
        DEADLY,
        json!(quarantined()),
        BATCH,
        which == Which::Keyed,
    )
    .fetch_all(connection)
    .await?;
    change(rows)
}

fn quarantined() -> JobError {
    JobError {
        kind: ErrorKind::Quarantined,
        message: format!("{DEADLY} workers died while they held the job"),
    }
}

/// Proves that the ledger commits.
///
/// While it does not, as when its disk is stuck, no worker can give a sign of
/// life: their silence counts only after a commit of our own came back at once.
/// Whatever they sent before it is visible then.
///
/// # Errors
///
/// [`StoreError::Database`].
pub(super) async fn prove(connection: &mut PgConnection) -> Result<(), StoreError> {
    // A message in the log that nobody reads: the least that has to be flushed.
    sqlx::query!("SELECT pg_logical_emit_message(true, 'jetlane', '')::text AS lsn")
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// What is running now.
#[derive(Debug)]
pub(super) struct Running {
    /// The workers that hold attempts, and how long until each is silent for
    /// too long.
    pub(super) busy: Vec<(WorkerId, Duration)>,
    /// Whether there is an attempt that [`reap`] would take away.
    pub(super) any_lost: bool,
    /// Whether a job with a concurrency key is running.
    pub(super) any_keyed: bool,
}

/// Who runs something.
///
/// # Errors
///
/// [`StoreError::Database`]: nothing was written in any case.
pub(super) async fn running(
    connection: &mut PgConnection,
    silence: Duration,
) -> Result<Running, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT
            workers.id AS "id?",
            EXTRACT(
                EPOCH FROM GREATEST(workers.heartbeat_at, max(jobs.started_at))
                    + $1::interval - ledger_now()
            )::float8 AS seconds,
            COALESCE(bool_or(
                jobs.lease_expires_at < ledger_now()
                OR GREATEST(workers.heartbeat_at, jobs.started_at) < ledger_now() - $1::interval
                    AND workers.id IS NOT NULL
            ), false) AS "any_lost!",
            bool_or(jobs.concurrency_key IS NOT NULL) AS "any_keyed!"
        FROM jobs
        LEFT JOIN workers ON workers.id = jobs.worker
        WHERE jobs.state = 'running'
        GROUP BY workers.id
        "#,
        interval(silence),
    )
    .fetch_all(connection)
    .await?;
    let any_keyed = rows.iter().any(|row| row.any_keyed);
    let any_lost = rows.iter().any(|row| row.any_lost);
    let busy = rows.into_iter().filter_map(|row| {
        let left = Duration::try_from_secs_f64(row.seconds?).unwrap_or_default();
        Some((WorkerId(row.id?), left))
    });
    Ok(Running { busy: busy.collect(), any_lost, any_keyed })
}
