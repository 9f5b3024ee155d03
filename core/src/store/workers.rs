//! The workers that are, or were lately, alive.

use sqlx::PgConnection;

use super::StoreError;
use crate::domain::WorkerId;

/// Enters a worker, or moves its heartbeat.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; registering again does no harm.
pub(super) async fn register(
    connection: &mut PgConnection,
    worker: WorkerId,
    slots: i32,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        INSERT INTO workers (id, slots, started_at, heartbeat_at)
        VALUES ($1, $2, ledger_now(), ledger_now())
        ON CONFLICT (id) DO UPDATE SET heartbeat_at = ledger_now()
        "#,
        worker.0,
        slots,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Strikes out a worker that has stopped and holds nothing.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; a row left behind harms nobody.
pub(super) async fn remove(
    connection: &mut PgConnection,
    worker: WorkerId,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        DELETE FROM workers
        WHERE id = $1
          AND NOT EXISTS (SELECT FROM jobs WHERE jobs.worker = $1 AND jobs.state = 'running')
        "#,
        worker.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}
