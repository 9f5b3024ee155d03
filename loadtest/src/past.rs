//! Jobs that are in the ledger before anything is measured, written straight into it: to submit
//! millions would take hours.

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

/// What jobs were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// They wait, and are older than all that is submitted.
    Waiting,
    /// They wait behind one concurrency key that has no room.
    BehindOneKey,
    /// They wait, of 1,000 tenants, of whom one has 99 % of them.
    OfManyTenants,
    /// They have completed, and have the three events that such jobs have.
    Completed,
}

/// A transaction before those of which watchers are told.
const LONG_AGO: u32 = 3;

/// Writes so many jobs, in a ledger that has none of this kind, and has PostgreSQL look at its tables
/// as it does by itself after a while.
///
/// # Errors
///
/// If a statement fails.
pub async fn write(database_url: &str, past: Past, count: u64) -> anyhow::Result<()> {
    let mut ledger = PgConnection::connect(database_url).await?;
    let jobs = match past {
        Past::Waiting => waiting(count, "'default'", "NULL"),
        Past::BehindOneKey => waiting(count, "'default'", "'full'"),
        Past::OfManyTenants => waiting(
            count,
            "'tenant-' || CASE WHEN n % 100 = 0 THEN n / 100 % 999 ELSE 999 END",
            "NULL",
        ),
        Past::Completed => completed(count),
    };
    ledger.execute(AssertSqlSafe(jobs)).await.context("cannot write jobs")?;
    if past == Past::Completed {
        ledger.execute(AssertSqlSafe(events(count))).await.context("cannot write events")?;
    }
    ledger.execute("VACUUM (ANALYZE) jobs").await?;
    ledger.execute("VACUUM (ANALYZE) job_events").await?;
    Ok(())
}

/// Jobs that wait, the nth of this tenant and with this key, which holds it back.
fn waiting(count: u64, tenant: &str, key: &str) -> String {
    format!(
        r#"INSERT INTO jobs (id, lane, tenant, name, tool, params, priority, max_attempts, run_at,
                           state, created_at, event_xid, concurrency_key, held_by_key)
         SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
                'default', {tenant}, 'waits', 'simulate', '{{"duration_ms": 0}}', 0, 3,
                ledger_now(), 'queued', ledger_now(), {LONG_AGO}, {key}, {key} IS NOT NULL
         FROM generate_series(1, {count}) AS n"#
    )
}

fn completed(count: u64) -> String {
    format!(
        r#"INSERT INTO jobs (id, lane, tenant, name, tool, params, priority, max_attempts, run_at,
                           state, attempt, worker, gpu_id, started_at, finished_at, progress,
                           result, event_seq, created_at, event_xid)
         SELECT ('00000000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid,
                'default', 'default', 'completed', 'simulate', '{{"duration_ms": 0}}', 0, 3,
                ledger_now(), 'completed', 1, '00000000-0000-7000-8000-000000000000', 0,
                ledger_now(), ledger_now(), 1, '{{"seconds": 0}}', 3, ledger_now(), {LONG_AGO}
         FROM generate_series(1, {count}) AS n"#
    )
}

/// Those of completed jobs.
fn events(count: u64) -> String {
    format!(
        r#"INSERT INTO job_events (job_id, seq, kind, state, attempt, created_at, lane, tenant, xid,
                                 details)
         SELECT ('00000000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, seq, state, state,
                least(seq - 1, 1), ledger_now(), 'default', 'default', {LONG_AGO},
                '{{"name": "completed"}}'
         FROM generate_series(1, {count}) AS n
         CROSS JOIN (VALUES (1, 'queued'), (2, 'running'), (3, 'completed')) AS told (seq, state)"#
    )
}

/// The size of the ledger on disk, indexes included.
///
/// # Errors
///
/// If it does not say.
pub(crate) async fn ledger_bytes(database_url: &str) -> anyhow::Result<u64> {
    let mut ledger = PgConnection::connect(database_url).await?;
    let sql = "SELECT pg_database_size(current_database())";
    let bytes: i64 = sqlx::query_scalar(sql).fetch_one(&mut ledger).await?;
    Ok(u64::try_from(bytes)?)
}
