//! Lanes and their policies.

use std::collections::HashMap;

use serde_json::{Value, json};
use sqlx::PgConnection;

use super::StoreError;
use super::change::rung;
use super::row::parsed;
use crate::domain::{Change, Lane, LaneName, LanePatch, Rate, Share};

/// Whether the lane exists.
///
/// # Errors
///
/// [`StoreError::Database`].
pub(super) async fn exists(
    connection: &mut PgConnection,
    lane: &LaneName,
) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM lanes WHERE name = $1) AS "exists!""#,
        lane.as_str(),
    )
    .fetch_one(connection)
    .await?)
}

/// Makes those of the lanes that do not exist.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; registering again does no harm.
pub(super) async fn register(
    connection: &mut PgConnection,
    lanes: &[LaneName],
) -> Result<(), StoreError> {
    let names: Vec<String> = lanes.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "INSERT INTO lanes (name) SELECT unnest($1::text[]) ON CONFLICT (name) DO NOTHING",
        &names,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The lanes of these names, by name; all of them for `None`.
///
/// # Errors
///
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub(super) async fn list(
    connection: &mut PgConnection,
    only: Option<&LaneName>,
) -> Result<Vec<Lane>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT
            name, paused_at, max_waiting, ageing_s, max_attempts, retry,
            bucket.per_second AS "per_second?",
            bucket.burst AS "burst?",
            COALESCE(
                (
                    SELECT jsonb_object_agg(tenant, weight)
                    FROM lane_shares
                    WHERE lane = name
                ),
                '{}'
            ) AS "shares!"
        FROM lanes
        LEFT JOIN lane_buckets AS bucket ON bucket.lane = name
        WHERE $1::text IS NULL OR name = $1
        ORDER BY name
        "#,
        only.map(LaneName::as_str),
    )
    .fetch_all(connection)
    .await?;

    rows.into_iter()
        .map(|row| {
            let weights: HashMap<String, i32> = serde_json::from_value(row.shares)
                .map_err(|error| StoreError::corrupt(&row.name, "shares")(error.into()))?;
            let mut shares = weights
                .into_iter()
                .map(|(tenant, weight)| {
                    Ok(Share { tenant: parsed(&tenant, &row.name, "tenant")?, weight })
                })
                .collect::<Result<Vec<_>, StoreError>>()?;
            shares.sort_by(|a, b| a.tenant.cmp(&b.tenant));
            Ok(Lane {
                name: parsed(&row.name, &row.name, "name")?,
                paused_at: row.paused_at,
                max_waiting: row.max_waiting,
                rate: row
                    .per_second
                    .zip(row.burst)
                    .map(|(per_second, burst)| Rate { per_second, burst }),
                ageing: row.ageing_s,
                max_attempts: row.max_attempts,
                retry: serde_json::from_value(row.retry)
                    .map_err(|error| StoreError::corrupt(&row.name, "retry")(error.into()))?,
                shares,
            })
        })
        .collect()
}

/// Changes a lane's own columns, if it is there.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; the same may be asked again.
pub(super) async fn update(
    connection: &mut PgConnection,
    lane: &LaneName,
    patch: &LanePatch,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        UPDATE lanes
        SET max_waiting = CASE WHEN $2 THEN $3 ELSE max_waiting END,
            ageing_s = CASE WHEN $4 THEN $5 ELSE ageing_s END,
            ageing_changed_at = CASE
                WHEN $4 AND $5 IS DISTINCT FROM ageing_s THEN ledger_now()
                ELSE ageing_changed_at
            END,
            max_attempts = CASE WHEN $6 THEN $7 ELSE max_attempts END,
            retry = COALESCE($8, retry)
        WHERE name = $1
        "#,
        lane.as_str(),
        patch.max_waiting.is_some(),
        patch.max_waiting.flatten(),
        patch.ageing.is_some(),
        patch.ageing.flatten(),
        patch.max_attempts.is_some(),
        patch.max_attempts.flatten(),
        patch.retry.as_ref().map(|retry| json!(retry)) as Option<Value>,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Limits how many jobs of the lane are started, from a full bucket on.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; the same may be asked again.
pub(super) async fn limit_rate(
    connection: &mut PgConnection,
    lane: &LaneName,
    rate: Rate,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        INSERT INTO lane_buckets (lane, per_second, burst, tokens, refilled_at)
        VALUES ($1, $2, $3, $3::integer, ledger_now())
        ON CONFLICT (lane) DO UPDATE
        SET per_second = EXCLUDED.per_second,
            burst = EXCLUDED.burst,
            -- What came in until now came at the rate of before.
            tokens = LEAST(EXCLUDED.burst, refilled(lane_buckets)),
            refilled_at = refilled_until(lane_buckets.refilled_at)
        "#,
        lane.as_str(),
        rate.per_second,
        rate.burst,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes the limit on starts away.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; the same may be asked again.
pub(super) async fn free_rate(
    connection: &mut PgConnection,
    lane: &LaneName,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM lane_buckets WHERE lane = $1", lane.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Stops giving out the lane's jobs; those that run go on.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; pausing again does no harm.
pub(super) async fn pause(
    connection: &mut PgConnection,
    lane: &LaneName,
) -> Result<bool, StoreError> {
    let paused = sqlx::query!(
        "UPDATE lanes SET paused_at = COALESCE(paused_at, ledger_now()) WHERE name = $1",
        lane.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(paused.rows_affected() > 0)
}

/// Gives the lane's jobs out again. The change is empty if it was not paused.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; resuming again does no harm.
pub(super) async fn resume(
    connection: &mut PgConnection,
    name: &LaneName,
) -> Result<Change, StoreError> {
    let rows = sqlx::query!(
        r#"
        WITH resumed AS (
            UPDATE lanes
            SET paused_at = NULL
            WHERE name = $1 AND paused_at IS NOT NULL
            RETURNING name
        )
        INSERT INTO outbox (rings, due_at)
        SELECT ARRAY[name], ledger_now() + interval '1 s'
        FROM resumed
        RETURNING id, rings
        "#,
        name.as_str(),
    )
    .fetch_all(connection)
    .await?;
    rung(rows.into_iter().map(|row| (row.id, row.rings)))
}

/// Rings a lane, so that somebody looks at it anew.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; ringing again does no harm.
pub(super) async fn ring(
    connection: &mut PgConnection,
    name: &LaneName,
) -> Result<Change, StoreError> {
    let rows = sqlx::query!(
        r#"
        INSERT INTO outbox (rings, due_at)
        VALUES (ARRAY[$1], ledger_now() + interval '1 s')
        RETURNING id, rings
        "#,
        name.as_str(),
    )
    .fetch_all(connection)
    .await?;
    rung(rows.into_iter().map(|row| (row.id, row.rings)))
}
