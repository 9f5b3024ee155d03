//! Concurrency keys: at most one job of a tenant with the same key is
//! claimable or running.
//!
//! Which one is decided here and nowhere else, under a lock of the key, from
//! what the rows say then. Every transaction that changed a job with a key
//! calls [`readmit`] last: so whoever comes second sees what the first did.

use sqlx::PgConnection;

use super::StoreError;
use super::row::lane;
use crate::domain::{TenantName, Unsent};

/// A tenant's concurrency key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) tenant: String,
    pub(super) name: String,
}

/// Lets the best job of the key go next: higher priority, then older. Rings
/// its lane if it was held back before.
///
/// Must run in the transaction that changed a job of the key, after the
/// change. With several keys: in their order, or two transactions wait for
/// each other.
///
/// # Errors
///
/// [`StoreError::Database`]: roll the transaction back.
pub(super) async fn readmit(
    connection: &mut PgConnection,
    key: &Key,
) -> Result<Vec<Unsent>, StoreError> {
    lock(connection, key).await?;
    hold_back_beaten(connection, key).await?;
    let rows = sqlx::query!(
        r#"
        WITH ahead AS (
            SELECT count(*) AS jobs
            FROM jobs
            WHERE tenant = $1
              AND concurrency_key = $2
              AND (state = 'running' OR (state = 'queued' AND NOT held_by_key))
        ),
        next AS (
            SELECT id
            FROM jobs
            WHERE tenant = $1
              AND concurrency_key = $2
              AND state = 'queued'
              AND held_by_key
              AND (SELECT jobs FROM ahead) = 0
            ORDER BY priority DESC, id
            LIMIT 1
            -- A row locked by another transaction is being changed by one that
            -- waits for the key: it decides anew after us.
            FOR UPDATE SKIP LOCKED
        ),
        admitted AS (
            UPDATE jobs
            SET held_by_key = false
            FROM next
            WHERE jobs.id = next.id
            RETURNING jobs.lane
        )
        INSERT INTO outbox (ring, due_at)
        SELECT lane, ledger_now() + interval '1 s'
        FROM admitted
        RETURNING id, ring
        "#,
        key.tenant,
        key.name,
    )
    .fetch_all(connection)
    .await?;

    rows.into_iter()
        .map(|row| Ok(Unsent { outbox_id: row.id, event: None, ring: lane(row.ring, row.id)? }))
        .collect()
}

/// Waits until no other transaction decides about the key.
async fn lock(connection: &mut PgConnection, key: &Key) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended($1 || '/' || $2, 0))",
        key.tenant,
        key.name,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes the turn from a waiting job that a better one has joined. A statement
/// of its own, before the count: a claim may have taken the job meanwhile, and
/// only a later snapshot shows it.
async fn hold_back_beaten(connection: &mut PgConnection, key: &Key) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        WITH beaten AS (
            SELECT id
            FROM jobs
            WHERE tenant = $1
              AND concurrency_key = $2
              AND state = 'queued'
              AND NOT held_by_key
              AND EXISTS (
                  SELECT FROM jobs AS better
                  WHERE better.tenant = $1
                    AND better.concurrency_key = $2
                    AND better.state = 'queued'
                    AND better.held_by_key
                    AND (better.priority > jobs.priority
                         OR (better.priority = jobs.priority AND better.id < jobs.id))
              )
            FOR UPDATE SKIP LOCKED
        )
        UPDATE jobs
        SET held_by_key = true
        FROM beaten
        WHERE jobs.id = beaten.id
        "#,
        key.tenant,
        key.name,
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
    id: crate::domain::JobId,
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

/// The keys of some jobs, sorted, each once.
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
    let mut keys: Vec<_> =
        rows.into_iter().map(|row| Key { tenant: row.tenant, name: row.name }).collect();
    keys.sort();
    Ok(keys)
}
