//! The lanes that exist.

use sqlx::PgConnection;

use super::StoreError;
use crate::domain::LaneName;

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
