//! Ranking what waits in a lane anew after a change of its ageing.
//!
//! The lane is marked with the time of the change. The mark stays until all
//! that waits there is ranked by it, also what is accepted by transactions that
//! began before.

use std::time::Duration;

use sqlx::PgConnection;

use super::StoreError;
use super::claim::interval;
use super::keys::Which;
use super::row::parsed;
use crate::domain::{Change, JobId, LaneName};

/// How many jobs one call ranks at most.
const BATCH: i64 = 5_000;

/// The same of jobs with a key: the keys stay locked until the commit.
const KEYED_BATCH: i64 = 500;

/// A transaction that still saw the ageing of before has ended so long after the
/// change, unless its commit hangs.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(30);

/// What ranking anew brought.
#[derive(Debug, Default)]
pub struct Ranked {
    /// How many jobs were ranked; none if there is no more to do for now.
    pub jobs: usize,
    /// What is owed to NATS: lanes where another job may be started now.
    pub change: Change,
}

/// The lanes whose waiting jobs may not all be ranked as their ageing says.
///
/// # Errors
///
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub(super) async fn unranked(connection: &mut PgConnection) -> Result<Vec<LaneName>, StoreError> {
    let names = sqlx::query_scalar!(
        "SELECT name FROM lanes WHERE ageing_changed_at IS NOT NULL ORDER BY name",
    )
    .fetch_all(connection)
    .await?;
    names.iter().map(|name| parsed(name, name, "name")).collect()
}

/// Ranks some waiting jobs of the lane as its ageing says now. Returns which.
/// While they are locked, claims pass them over: ring the lane in the same
/// transaction.
///
/// After those with a key, call [`keys::readmit`](super::keys::readmit) in the
/// same transaction: another may go first now.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; ranking again does no harm.
pub(super) async fn rank_anew(
    connection: &mut PgConnection,
    lane: &LaneName,
    which: Which,
) -> Result<Vec<JobId>, StoreError> {
    let is_keyed = which == Which::Keyed;
    let ids = sqlx::query_scalar!(
        r#"
        WITH due AS (
            SELECT jobs.id, aged(jobs.created_at, lanes.ageing_s) AS aged
            FROM jobs
            JOIN lanes ON lanes.name = jobs.lane
            WHERE jobs.lane = $1
              AND jobs.state IN ('scheduled', 'queued')
              AND (jobs.concurrency_key IS NOT NULL) = $3
              AND jobs.aged IS DISTINCT FROM aged(jobs.created_at, lanes.ageing_s)
            LIMIT $2
            -- One that is being changed or claimed comes in a later round, or is past it.
            FOR UPDATE OF jobs SKIP LOCKED
        )
        UPDATE jobs
        SET aged = due.aged
        FROM due
        WHERE jobs.id = due.id AND jobs.id = ANY(ARRAY(SELECT id FROM due))
        RETURNING jobs.id
        "#,
        lane.as_str(),
        if is_keyed { KEYED_BATCH } else { BATCH },
        is_keyed,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().map(JobId).collect())
}

/// Takes the mark from the lane if all that waits there is ranked, and
/// transactions that saw the ageing of before have had the time to end.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; asking again does no harm.
pub(super) async fn finish(
    connection: &mut PgConnection,
    lane: &LaneName,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        UPDATE lanes
        SET ageing_changed_at = NULL
        WHERE name = $1
          -- A clock that was set back would keep the mark for as long.
          AND abs(EXTRACT(EPOCH FROM ledger_now() - ageing_changed_at))
              > EXTRACT(EPOCH FROM $2::interval)
          AND NOT EXISTS (
              SELECT
              FROM jobs
              WHERE jobs.lane = lanes.name
                AND jobs.state IN ('scheduled', 'queued')
                AND jobs.aged IS DISTINCT FROM aged(jobs.created_at, lanes.ageing_s)
          )
        "#,
        lane.as_str(),
        interval(LONGEST_TRANSACTION),
    )
    .execute(connection)
    .await?;
    Ok(())
}
