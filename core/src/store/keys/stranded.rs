//! Looking for keys that nobody let a job go of.

use sqlx::PgConnection;

use super::Key;
use crate::store::StoreError;

/// How many keys one look for stranded jobs is about at most.
const LOOKED_AT: i64 = 500;

/// What [`stranded`] found.
#[derive(Debug)]
pub(in crate::store) struct LookedAt {
    /// Keys that would let a job go.
    pub(in crate::store) stranded: Vec<Key>,
    /// After which to go on; `None` if there is none.
    pub(in crate::store) go_on: Option<Key>,
}

/// Keys that hold jobs back although they have room, by the count of
/// [`readmit`](super::readmit): of some that come after the given one. Call it for them.
///
/// # Errors
///
/// [`StoreError::Database`]: nothing was written in any case.
pub(in crate::store) async fn stranded(
    connection: &mut PgConnection,
    after: Option<Key>,
) -> Result<LookedAt, StoreError> {
    // No tenant and no key is empty.
    let after = after.unwrap_or(Key { tenant: String::new(), name: String::new() });
    let rows = sqlx::query!(
        r#"
        WITH RECURSIVE keys AS (
            -- From each key to the next by the index, not over all their jobs.
            (
                SELECT tenant, concurrency_key AS name
                FROM jobs
                WHERE held_by_key AND (tenant, concurrency_key) > ($1, $2)
                ORDER BY tenant, concurrency_key
                LIMIT 1
            )
            UNION ALL
            SELECT next.tenant, next.name
            FROM keys
            CROSS JOIN LATERAL (
                SELECT tenant, concurrency_key AS name
                FROM jobs
                WHERE held_by_key AND (tenant, concurrency_key) > (keys.tenant, keys.name)
                ORDER BY tenant, concurrency_key
                LIMIT 1
            ) AS next
        )
        SELECT
            tenant AS "tenant!",
            name AS "name!",
            taken.jobs < COALESCE(max_running, 1) AS "is_stranded!"
        FROM (
            -- Here, so that the walk ends with them.
            SELECT tenant, name FROM keys LIMIT $3
        ) AS keys
        LEFT JOIN concurrency_limits AS limits USING (tenant, name)
        CROSS JOIN LATERAL (
            SELECT count(*) AS jobs
            FROM jobs
            WHERE jobs.tenant = keys.tenant
              AND jobs.concurrency_key = keys.name
              AND (state = 'running'
                   OR (state = 'queued' AND NOT held_by_key)
                   OR (state = 'scheduled' AND attempt > 0))
              AND (state <> 'scheduled' OR limits.is_sequential)
        ) AS taken
        ORDER BY tenant, name
        "#,
        after.tenant,
        after.name,
        LOOKED_AT,
    )
    .fetch_all(connection)
    .await?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= LOOKED_AT);
    let mut go_on = None;
    let mut stranded = Vec::new();
    for row in rows {
        let key = Key { tenant: row.tenant, name: row.name };
        if row.is_stranded {
            stranded.push(key.clone());
        }
        go_on = is_full.then_some(key);
    }
    Ok(LookedAt { stranded, go_on })
}
