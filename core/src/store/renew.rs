//! Keeping leases, and the worker's heartbeat.

use std::time::Duration;

use sqlx::PgConnection;

use super::StoreError;
use super::claim::interval;
use super::latest::latest;
use crate::domain::{JobId, Lease, WorkerId};

/// An attempt that a worker says it is running.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Held {
    /// Which.
    pub lease: Lease,
    /// Its latest progress, 0 to 1.
    pub progress: Option<f32>,
}

/// An attempt that is still the worker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// Which.
    pub lease: Lease,
    /// Whether the job's end was asked for.
    pub is_cancel_requested: bool,
}

/// Moves the worker's heartbeat.
///
/// In a statement of its own: a row that somebody else has locked keeps leases
/// waiting, which last for a while, but must not make the worker seem dead.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; beat again.
pub(super) async fn beat(
    connection: &mut PgConnection,
    worker: WorkerId,
) -> Result<(), StoreError> {
    sqlx::query!("UPDATE workers SET heartbeat_at = ledger_now() WHERE id = $1", worker.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Moves the leases of all that the worker holds.
///
/// What was held and does not come back was taken away: stop it and drop what
/// it brings.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; renew again.
pub(super) async fn renew(
    connection: &mut PgConnection,
    worker: WorkerId,
    held: &[Held],
    lease: Duration,
) -> Result<Vec<Renewed>, StoreError> {
    let held = latest(held, |held| held.lease);
    let ids: Vec<_> = held.iter().map(|held| held.lease.job_id.0).collect();
    let attempts: Vec<_> = held.iter().map(|held| held.lease.attempt).collect();
    let progress: Vec<_> = held.iter().map(|held| held.progress).collect();

    let rows = sqlx::query!(
        r#"
        WITH locked AS MATERIALIZED (
            -- In the order in which settlements lock: else each could have what the other waits for.
            SELECT id FROM jobs WHERE id = ANY($2) ORDER BY id FOR UPDATE
        )
        UPDATE jobs
        SET lease_expires_at = ledger_now() + $5,
            progress = COALESCE(($4::real[])[width_bucket(id, $2::uuid[])], progress)
        WHERE id = ANY(ARRAY(SELECT id FROM locked))
          AND attempt = ($3::int[])[width_bucket(id, $2::uuid[])]
          AND worker = $1
          -- That is, it runs; see settling for why this says so.
          AND lease_expires_at IS NOT NULL
        RETURNING id, attempt, cancel_requested_at IS NOT NULL AS "is_cancel_requested!"
        "#,
        worker.0,
        &ids,
        &attempts,
        &progress as &[Option<f32>],
        interval(lease),
    )
    .fetch_all(connection)
    .await?;

    Ok(rows
        .into_iter()
        .map(|row| Renewed {
            lease: Lease { job_id: JobId(row.id), attempt: row.attempt },
            is_cancel_requested: row.is_cancel_requested,
        })
        .collect())
}
