//! Tenants' shares of a lane, for whoever claims by them.

use sqlx::PgConnection;

use super::StoreError;
use super::row::parsed;
use crate::domain::{LaneName, Share, TenantName};

/// The most tenants that a claimer is told of at once.
pub const MOST_TENANTS: usize = 1000;

/// Sets a tenant's share of a lane.
///
/// # Errors
///
/// [`StoreError::UnknownLane`], and then nothing was written.
/// [`StoreError::Database`]: unknown; the same may be asked again.
pub(super) async fn set(
    connection: &mut PgConnection,
    lane: &LaneName,
    share: &Share,
) -> Result<(), StoreError> {
    let set = sqlx::query!(
        r#"
        INSERT INTO lane_shares (lane, tenant, weight)
        SELECT name, $2, $3
        FROM lanes
        WHERE name = $1
        ON CONFLICT (lane, tenant) DO UPDATE SET weight = EXCLUDED.weight
        "#,
        lane.as_str(),
        share.tenant.as_str(),
        share.weight,
    )
    .execute(connection)
    .await?;
    if set.rows_affected() == 0 {
        return Err(StoreError::UnknownLane(lane.clone()));
    }
    Ok(())
}

/// The tenants of whom jobs are claimable in the lane, each with its share: at
/// most [`MOST_TENANTS`], by name, that come after the given one.
///
/// # Errors
///
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub(super) async fn waiting(
    connection: &mut PgConnection,
    lane: &LaneName,
    after: Option<&TenantName>,
) -> Result<Vec<Share>, StoreError> {
    let rows = sqlx::query!(
        r#"
        WITH RECURSIVE waiting AS (
            -- From each tenant to the next by the index, not over all their jobs.
            (
                SELECT tenant
                FROM jobs
                WHERE lane = $1
                  AND state = 'queued'
                  AND NOT held_by_key
                  AND deaths < 2
                  AND tenant > $3
                ORDER BY tenant
                LIMIT 1
            )
            UNION ALL
            SELECT (
                SELECT jobs.tenant
                FROM jobs
                WHERE jobs.lane = $1
                  AND jobs.state = 'queued'
                  AND NOT jobs.held_by_key
                  AND jobs.deaths < 2
                  AND jobs.tenant > waiting.tenant
                ORDER BY jobs.tenant
                LIMIT 1
            )
            FROM waiting
            WHERE waiting.tenant IS NOT NULL
        )
        SELECT waiting.tenant AS "tenant!", COALESCE(lane_shares.weight, 1) AS "weight!"
        FROM (
            -- Here, so that the walk ends with them.
            SELECT tenant FROM waiting WHERE tenant IS NOT NULL LIMIT $2
        ) AS waiting
        LEFT JOIN lane_shares ON lane_shares.lane = $1 AND lane_shares.tenant = waiting.tenant
        ORDER BY waiting.tenant
        "#,
        lane.as_str(),
        i64::try_from(MOST_TENANTS).unwrap_or(i64::MAX),
        // No tenant is called nothing.
        after.map_or("", TenantName::as_str),
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let tenant: TenantName = parsed(&row.tenant, lane, "tenant")?;
            Ok(Share { tenant, weight: row.weight })
        })
        .collect()
}
