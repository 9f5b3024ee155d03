//! Concurrency keys: of a tenant's jobs with the same key, at most as many as
//! its limit says are claimable or running; one, where none is set.
//!
//! Which ones is decided here and nowhere else, under the key's lock, from
//! what the rows say then. Every transaction that changed a job with a key
//! calls [`readmit`] last: so whoever comes second sees what the first did.

mod stranded;

use sqlx::PgConnection;

use super::StoreError;
use super::change::rung;
use super::pool::LOCK_TIMEOUT;
use crate::domain::{Change, ConcurrencyLimit, JobId, TenantName, Unsent};

pub(super) use stranded::stranded;

/// A tenant's concurrency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub(super) tenant: String,
    pub(super) name: String,
}

/// What a look for stranded jobs brought.
#[derive(Debug)]
pub struct Readmitted {
    /// What is owed to NATS.
    pub change: Change,
    /// After which key to go on; `None` if all were looked at.
    pub go_on: Option<Key>,
}

/// Which jobs a duty is about. Those without a key need wait for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Those without a concurrency key.
    Unkeyed,
    /// Those with one.
    Keyed,
}

/// Keys as a statement takes them.
struct Columns {
    tenants: Vec<String>,
    names: Vec<String>,
}

impl Columns {
    fn of(keys: &[Key]) -> Self {
        Self {
            tenants: keys.iter().map(|key| key.tenant.clone()).collect(),
            names: keys.iter().map(|key| key.name.clone()).collect(),
        }
    }
}

/// Lets the best jobs of each key go next: higher rank, then older, as many as
/// there is room for. Rings their lanes if they were held back before.
///
/// Must run in the transaction that changed jobs of the keys, after the change,
/// and once, with all of them: see [`lock`].
///
/// # Errors
///
/// [`StoreError::Database`]: roll the transaction back.
pub(super) async fn readmit(
    connection: &mut PgConnection,
    keys: &[Key],
) -> Result<Vec<Unsent>, StoreError> {
    let columns = Columns::of(keys);
    lock(connection, &columns).await?;
    hold_back(connection, &columns).await?;
    let rows = sqlx::query!(
        r#"
        WITH keys AS (
            SELECT
                tenant,
                name,
                COALESCE(max_running, 1) AS max_running,
                COALESCE(is_sequential, false) AS is_sequential
            FROM UNNEST($1::text[], $2::text[]) AS key (tenant, name)
            LEFT JOIN concurrency_limits USING (tenant, name)
        ),
        next AS (
            SELECT held.id
            FROM keys
            CROSS JOIN LATERAL (
                SELECT GREATEST(0, keys.max_running - count(*)) AS jobs
                FROM jobs
                WHERE tenant = keys.tenant
                  AND concurrency_key = keys.name
                  AND (state = 'running'
                       OR (state = 'queued' AND NOT held_by_key)
                       OR (state = 'scheduled' AND attempt > 0))
                  -- While it waits for a retry, a job keeps its place only if
                  -- the key is sequential.
                  AND (state <> 'scheduled' OR keys.is_sequential)
            ) AS room
            CROSS JOIN LATERAL (
                SELECT id
                FROM jobs
                WHERE tenant = keys.tenant
                  AND concurrency_key = keys.name
                  AND held_by_key
                ORDER BY rank DESC, id
                LIMIT room.jobs
                -- A row locked by another transaction is most likely changed by
                -- one that waits for the key: it decides anew after us. If not,
                -- [`readmit_stranded`] does.
                FOR UPDATE SKIP LOCKED
            ) AS held
        ),
        admitted AS (
            UPDATE jobs
            SET held_by_key = false
            WHERE id = ANY(ARRAY(SELECT id FROM next))
            RETURNING lane
        )
        INSERT INTO outbox (rings, due_at)
        -- Once for all: who claims as much as it asked for rings again.
        SELECT array_agg(DISTINCT lane), ledger_now() + interval '1 s'
        FROM admitted
        HAVING count(*) > 0
        RETURNING id, rings
        "#,
        &columns.tenants,
        &columns.names,
    )
    .fetch_all(connection)
    .await?;

    Ok(rung(rows.into_iter().map(|row| (row.id, row.rings)))?.unsent)
}

/// Sets how many jobs of the key run at once. Those that are running stay;
/// all others are held back: call [`readmit`] next, in the same transaction.
///
/// # Errors
///
/// [`StoreError::Database`]: roll the transaction back.
pub(super) async fn set_limit(
    connection: &mut PgConnection,
    key: &Key,
    limit: ConcurrencyLimit,
) -> Result<(), StoreError> {
    lock(connection, &Columns::of(std::slice::from_ref(key))).await?;
    let (max_running, is_sequential) = match limit {
        ConcurrencyLimit::Parallel(most) => (most, false),
        ConcurrencyLimit::Sequential => (1, true),
    };
    sqlx::query!(
        r#"
        WITH waiting AS (
            SELECT id
            FROM jobs
            WHERE tenant = $1
              AND concurrency_key = $2
              AND state = 'queued'
              AND NOT held_by_key
              AND NOT ($4 AND attempt > 0)
            -- Whoever has locked one claims or changes it, and may wait for the key.
            FOR UPDATE SKIP LOCKED
        ),
        held AS (
            UPDATE jobs
            SET held_by_key = true
            WHERE id = ANY(ARRAY(SELECT id FROM waiting))
        )
        INSERT INTO concurrency_limits (tenant, name, max_running, is_sequential)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (tenant, name) DO UPDATE
        SET max_running = EXCLUDED.max_running, is_sequential = EXCLUDED.is_sequential
        "#,
        key.tenant,
        key.name,
        max_running,
        is_sequential,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Waits until no other transaction decides about the keys.
///
/// In the order of the locks: transactions that lock all their keys at once
/// never wait for each other in a circle. A server has room for some thousands
/// of locks, and refuses for a moment what needs more.
async fn lock(connection: &mut PgConnection, keys: &Columns) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        SELECT pg_advisory_xact_lock(number)
        FROM (
            SELECT DISTINCT hashtextextended(tenant || '/' || name, 0) AS number
            FROM UNNEST($1::text[], $2::text[]) AS key (tenant, name)
            ORDER BY number
        ) AS locks
        -- Whatever an accept before us waited for its idempotency keys.
        WHERE (SELECT set_config('lock_timeout', $3, true)) IS NOT NULL
        "#,
        &keys.tenants,
        &keys.names,
        LOCK_TIMEOUT,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes the turn from waiting jobs that a better one has joined, and from those
/// that the key has no room for any more, since its limit was lowered. A statement
/// of its own, before the count: a claim may have taken the job meanwhile, and
/// only a later snapshot shows it.
async fn hold_back(connection: &mut PgConnection, keys: &Columns) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        WITH keys AS (
            SELECT
                tenant,
                name,
                COALESCE(max_running, 1) AS max_running,
                COALESCE(is_sequential, false) AS is_sequential
            FROM UNNEST($1::text[], $2::text[]) AS key (tenant, name)
            LEFT JOIN concurrency_limits USING (tenant, name)
        ),
        beaten AS (
            SELECT next.id
            FROM keys
            CROSS JOIN LATERAL (
                SELECT keys.max_running - count(*) AS jobs
                FROM jobs
                WHERE tenant = keys.tenant
                  AND concurrency_key = keys.name
                  AND (state = 'running' OR (state = 'scheduled' AND attempt > 0))
                  AND (state = 'running' OR keys.is_sequential)
            ) AS room
            CROSS JOIN LATERAL (
                SELECT id
                FROM jobs
                WHERE tenant = keys.tenant
                  AND concurrency_key = keys.name
                  AND state = 'queued'
                  AND NOT held_by_key
                  AND (
                      EXISTS (
                          SELECT FROM jobs AS better
                          WHERE better.tenant = keys.tenant
                            AND better.concurrency_key = keys.name
                            AND better.held_by_key
                            AND (better.rank > jobs.rank
                                 OR (better.rank = jobs.rank AND better.id < jobs.id))
                      )
                      -- A sequential key goes on with the job that it has begun.
                      AND (attempt = 0 OR NOT keys.is_sequential)
                      OR id IN (
                          SELECT id
                          FROM (
                              SELECT id, row_number() OVER (
                                  ORDER BY (keys.is_sequential AND attempt > 0) DESC, rank DESC, id
                              ) AS place
                              FROM jobs
                              WHERE tenant = keys.tenant
                                AND concurrency_key = keys.name
                                AND state = 'queued'
                                AND NOT held_by_key
                          ) AS numbered
                          WHERE place > room.jobs
                      )
                  )
                FOR UPDATE SKIP LOCKED
            ) AS next
        )
        UPDATE jobs
        SET held_by_key = true
        WHERE id = ANY(ARRAY(SELECT id FROM beaten))
        "#,
        &keys.tenants,
        &keys.names,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The key of a job, if it has one.
///
/// # Errors
///
/// [`StoreError::Database`].
pub(super) async fn key_of(
    connection: &mut PgConnection,
    tenant: &TenantName,
    id: JobId,
) -> Result<Option<Key>, StoreError> {
    let name = sqlx::query_scalar!(
        "SELECT concurrency_key FROM jobs WHERE id = $1 AND tenant = $2",
        id.0,
        tenant.as_str(),
    )
    .fetch_optional(connection)
    .await?
    .flatten();
    Ok(name.map(|name| Key { tenant: tenant.as_str().to_owned(), name }))
}

/// The keys of some jobs, each once.
///
/// # Errors
///
/// [`StoreError::Database`].
pub(super) async fn keys_of(
    connection: &mut PgConnection,
    ids: &[uuid::Uuid],
) -> Result<Vec<Key>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT DISTINCT tenant, concurrency_key AS "name!"
        FROM jobs
        WHERE id = ANY($1) AND concurrency_key IS NOT NULL
        "#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| Key { tenant: row.tenant, name: row.name }).collect())
}
