//! Letting go of what is older than it is kept, a little at a time.

use std::time::Duration;

use sqlx::PgConnection;

use super::StoreError;
use super::claim::interval;

/// How many rows one statement removes at most, so that none takes long.
const BATCH: i64 = 500;

/// How far ahead there are partitions for events.
const AHEAD: Duration = Duration::from_hours(14 * 24);

/// How long what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Jobs that are final, after their end.
    pub jobs: Duration,
    /// Dead letters, after their end.
    pub dead_letters: Duration,
    /// Idempotency keys, after their first use.
    pub idempotency_keys: Duration,
    /// Events, by whole weeks, and never before their jobs.
    pub events: Duration,
    /// Workers that said nothing any more.
    pub workers: Duration,
}

/// What one round of pruning removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Jobs.
    pub jobs: u64,
    /// Idempotency keys.
    pub idempotency_keys: u64,
    /// Workers.
    pub workers: u64,
}

impl Pruned {
    /// Whether another round finds more right away.
    #[must_use]
    pub fn is_more(&self) -> bool {
        let batch = BATCH.unsigned_abs();
        self.jobs >= batch || self.idempotency_keys >= batch
    }
}

/// Removes jobs that were completed or cancelled long ago. Returns how many, at
/// most some hundreds.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; pruning again does no harm.
pub(super) async fn ended(
    connection: &mut PgConnection,
    retention: &Retention,
) -> Result<u64, StoreError> {
    let removed = sqlx::query!(
        r#"
        WITH old AS (
            SELECT id
            FROM jobs
            WHERE state IN ('completed', 'cancelled')
              -- Ids sort by age, and no job ends before it was made.
              AND id < uuid_of(ledger_now() - $1::interval)
              AND finished_at < ledger_now() - $1::interval
            ORDER BY id
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        DELETE FROM jobs WHERE id = ANY(ARRAY(SELECT id FROM old))
        "#,
        interval(retention.jobs),
        BATCH,
    )
    .execute(connection)
    .await?;
    Ok(removed.rows_affected())
}

/// Removes dead letters of long ago. Returns how many, at most some hundreds.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; pruning again does no harm.
pub(super) async fn dead(
    connection: &mut PgConnection,
    retention: &Retention,
) -> Result<u64, StoreError> {
    let removed = sqlx::query!(
        r#"
        WITH old AS (
            SELECT id
            FROM jobs
            WHERE state = 'failed'
              AND id < uuid_of(ledger_now() - $1::interval)
              AND finished_at < ledger_now() - $1::interval
            ORDER BY id
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        DELETE FROM jobs WHERE id = ANY(ARRAY(SELECT id FROM old))
        "#,
        interval(retention.dead_letters),
        BATCH,
    )
    .execute(connection)
    .await?;
    Ok(removed.rows_affected())
}

/// Removes idempotency keys that were used long ago. Returns how many, at most
/// some hundreds.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; pruning again does no harm.
pub(super) async fn idempotency_keys(
    connection: &mut PgConnection,
    retention: &Retention,
) -> Result<u64, StoreError> {
    let removed = sqlx::query!(
        r#"
        WITH old AS (
            SELECT tenant, key
            FROM idempotency_keys
            WHERE created_at < ledger_now() - $1::interval
            ORDER BY created_at
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        DELETE FROM idempotency_keys AS used
        USING old
        WHERE used.tenant = old.tenant AND used.key = old.key
        "#,
        interval(retention.idempotency_keys),
        BATCH,
    )
    .execute(connection)
    .await?;
    Ok(removed.rows_affected())
}

/// Removes workers that are gone and hold nothing.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; pruning again does no harm.
pub(super) async fn workers(
    connection: &mut PgConnection,
    retention: &Retention,
) -> Result<u64, StoreError> {
    let removed = sqlx::query!(
        r#"
        DELETE FROM workers
        WHERE heartbeat_at < ledger_now() - $1::interval
          AND NOT EXISTS (
              SELECT FROM jobs WHERE jobs.worker = workers.id AND jobs.state = 'running'
          )
        "#,
        interval(retention.workers),
    )
    .execute(connection)
    .await?;
    Ok(removed.rows_affected())
}

/// Sees to it that there are partitions for the events of the weeks to come.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; asking again does no harm.
pub(super) async fn make_event_partitions(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        SELECT count(make_event_partition(at)) AS "made!"
        FROM generate_series(
            ledger_now() + interval '7 days', ledger_now() + $1::interval, interval '7 days'
        ) AS at
        "#,
        interval(AHEAD),
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Drops whole weeks of events of which no job is left. Returns how many.
///
/// # Errors
///
/// [`StoreError::Database`], also if the table is too busy to be locked at
/// once: pruning again does no harm.
pub(super) async fn drop_event_partitions(
    connection: &mut PgConnection,
    retention: &Retention,
) -> Result<i32, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT drop_event_partitions($1) AS "dropped!""#,
        interval(retention.events),
    )
    .fetch_one(connection)
    .await?)
}
