//! Jobs that are in the ledger before anything is measured, written straight into it: to submit
//! millions would take hours.

use anyhow::Context;
use sqlx::{Connection as _, Executor as _, PgConnection};

/// What jobs were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// They wait, and are older than all that is submitted.
    Waiting,
    /// They wait behind one concurrency key that has no room.
    BehindOneKey,
    /// They wait, of 1,000 tenants, from `tenant-0` on, of whom `tenant-999` has 99 % of them.
    OfManyTenants,
    /// They have completed, and have the three events that such jobs have.
    Completed,
}

/// Writes so many jobs, in a ledger that has none of this kind, and has PostgreSQL look at its tables
/// as it does by itself after a while.
///
/// # Errors
///
/// If a statement fails.
pub async fn write(database_url: &str, past: Past, count: u64) -> anyhow::Result<()> {
    let mut ledger = PgConnection::connect(database_url).await?;
    let last = i64::try_from(count)?;
    if past == Past::Completed {
        completed(&mut ledger, last).await.context("cannot write jobs")?;
        events(&mut ledger, last).await.context("cannot write events")?;
    } else {
        waiting(&mut ledger, past, last).await.context("cannot write jobs")?;
    }
    ledger.execute("VACUUM (ANALYZE) jobs").await?;
    ledger.execute("VACUUM (ANALYZE) job_events").await?;
    Ok(())
}

async fn waiting(ledger: &mut PgConnection, past: Past, last: i64) -> sqlx::Result<()> {
    // A transaction number that is long past is none of which watchers are told.
    let sql = r#"
        INSERT INTO jobs (id, lane, tenant, name, tool, params, priority, max_attempts, run_at,
                          state, created_at, event_xid, concurrency_key, held_by_key)
        SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'default',
               CASE
                   WHEN NOT $2 THEN 'default'
                   WHEN n % 100 = 0 THEN 'tenant-' || n / 100 % 999
                   ELSE 'tenant-999'
               END,
               'waits', 'simulate', '{"duration_ms": 0}', 0, 3, ledger_now(), 'queued',
               ledger_now(), 3, $3, $3 IS NOT NULL
        FROM generate_series(1, $1) AS n"#;
    sqlx::query(sql)
        .bind(last)
        .bind(past == Past::OfManyTenants)
        .bind((past == Past::BehindOneKey).then_some("full"))
        .execute(ledger)
        .await
        .map(drop)
}

async fn completed(ledger: &mut PgConnection, last: i64) -> sqlx::Result<()> {
    let sql = r#"
        INSERT INTO jobs (id, lane, tenant, name, tool, params, priority, max_attempts, run_at,
                          state, attempt, worker, gpu_id, started_at, finished_at, progress,
                          result, event_seq, created_at, event_xid)
        SELECT ('00000000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, 'default',
               'default', 'completed', 'simulate', '{"duration_ms": 0}', 0, 3, ledger_now(),
               'completed', 1, '00000000-0000-7000-8000-000000000000', 0, ledger_now(),
               ledger_now(), 1, '{"seconds": 0}', 3, ledger_now(), 3
        FROM generate_series(1, $1) AS n"#;
    sqlx::query(sql).bind(last).execute(ledger).await.map(drop)
}

/// Those of completed jobs.
async fn events(ledger: &mut PgConnection, last: i64) -> sqlx::Result<()> {
    let sql = r#"
        INSERT INTO job_events (job_id, seq, kind, state, attempt, created_at, lane, tenant, xid,
                                details)
        SELECT ('00000000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, seq, state, state,
               least(seq - 1, 1), ledger_now(), 'default', 'default', 3, '{"name": "completed"}'
        FROM generate_series(1, $1) AS n
        CROSS JOIN (VALUES (1, 'queued'), (2, 'running'), (3, 'completed')) AS told (seq, state)"#;
    sqlx::query(sql).bind(last).execute(ledger).await.map(drop)
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
