//! Events in the order in which a watcher may read them from the ledger.
//!
//! A transaction id below the snapshot's xmin belongs to a transaction that
//! has ended: all its events are visible. So the xmin is a low-water mark
//! behind which nothing can appear any more, whatever order transactions
//! commit in; a plain serial number would not be one.

use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::row::EventRow;
use crate::domain::{Event, JobId, JobState, LaneName, TenantName};

/// Names one event and its place in the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedKey {
    /// The ledger transaction.
    pub xid: i64,
    /// The job.
    pub job_id: JobId,
    /// The event's place among the job's.
    pub seq: i32,
}

/// The newest part of the feed.
#[derive(Clone, Debug, Default)]
pub struct FeedHead {
    /// No event below this transaction can appear any more.
    pub low_water: i64,
    /// Events from the transaction asked for on.
    pub keys: Vec<FeedKey>,
}

/// Which events a watcher wants. An empty list wants all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedFilter {
    /// Only of these jobs.
    pub job_ids: Vec<JobId>,
    /// Only of this lane.
    pub lane: Option<LaneName>,
    /// Only those that left the job in this state.
    pub state: Option<JobState>,
}

/// The first `limit` events from the transaction `from` on, and the low-water
/// mark of the same snapshot.
///
/// # Errors
///
/// [`StoreError::Database`].
pub(super) async fn head(
    connection: &mut PgConnection,
    from: i64,
    limit: i64,
) -> Result<FeedHead, StoreError> {
    // One statement, so one snapshot: the outer join keeps the mark when no
    // event is there.
    let rows = sqlx::query!(
        r#"
        WITH mark AS (
            SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS low_water
        ),
        recent AS (
            SELECT xid, job_id, seq
            FROM job_events
            WHERE xid >= $1
            ORDER BY xid, job_id, seq
            LIMIT $2
        )
        SELECT
            mark.low_water AS "low_water!",
            recent.xid AS "xid?",
            recent.job_id AS "job_id?",
            recent.seq AS "seq?"
        FROM mark
        LEFT JOIN recent ON true
        ORDER BY recent.xid, recent.job_id, recent.seq
        "#,
        from,
        limit,
    )
    .fetch_all(connection)
    .await?;

    let low_water = rows.first().map_or(from, |row| row.low_water);
    let keys: Vec<_> = rows
        .into_iter()
        .filter_map(|row| {
            Some(FeedKey { xid: row.xid?, job_id: JobId(row.job_id?), seq: row.seq? })
        })
        .collect();
    // A cut list does not reach the mark: what follows its last key is unread.
    let is_cut = i64::try_from(keys.len()).is_ok_and(|read| read >= limit);
    let low_water = match keys.last() {
        Some(last) if is_cut => low_water.min(last.xid),
        _ => low_water,
    };
    Ok(FeedHead { low_water, keys })
}

/// The named events, in the order of the feed. Those that are not there are
/// left out.
///
/// # Errors
///
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub(super) async fn events(
    connection: &mut PgConnection,
    keys: &[FeedKey],
) -> Result<Vec<Event>, StoreError> {
    let ids: Vec<Uuid> = keys.iter().map(|key| key.job_id.0).collect();
    let seqs: Vec<i32> = keys.iter().map(|key| key.seq).collect();
    sqlx::query_as!(
        EventRow,
        r#"
        SELECT job_id, seq, kind, state, attempt, created_at, lane, tenant, xid, details
        FROM job_events
        JOIN unnest($1::uuid[], $2::int[]) AS wanted (job_id, seq) USING (job_id, seq)
        ORDER BY xid, job_id, seq
        "#,
        &ids,
        &seqs,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// The events of one job with a seq above `after`, at most `limit`, in order.
///
/// # Errors
///
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub(super) async fn events_of(
    connection: &mut PgConnection,
    job_id: JobId,
    after: i32,
    limit: i64,
) -> Result<Vec<Event>, StoreError> {
    sqlx::query_as!(
        EventRow,
        r#"
        SELECT job_id, seq, kind, state, attempt, created_at, lane, tenant, xid, details
        FROM job_events
        WHERE job_id = $1 AND seq > $2
        ORDER BY seq
        LIMIT $3
        "#,
        job_id.0,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// A tenant's events that pass the filter and come after `after`, at most
/// `limit`, in the order of the feed: so each job's in their own.
///
/// # Errors
///
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub(super) async fn replay(
    connection: &mut PgConnection,
    tenant: &TenantName,
    filter: &FeedFilter,
    after: FeedKey,
    limit: i64,
) -> Result<Vec<Event>, StoreError> {
    let ids: Vec<Uuid> = filter.job_ids.iter().map(|id| id.0).collect();
    sqlx::query_as!(
        EventRow,
        r#"
        SELECT job_id, seq, kind, state, attempt, created_at, lane, tenant, xid, details
        FROM job_events
        WHERE (xid, job_id, seq) > ($2, $3, $4)
          AND tenant = $1
          AND (cardinality($5::uuid[]) = 0 OR job_id = ANY($5))
          AND ($6::text IS NULL OR lane = $6)
          AND ($7::text IS NULL OR state = $7)
        ORDER BY xid, job_id, seq
        LIMIT $8
        "#,
        tenant.as_str(),
        after.xid,
        after.job_id.0,
        after.seq,
        &ids,
        filter.lane.as_ref().map(LaneName::as_str),
        filter.state.map(JobState::as_str),
        limit,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}
