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

/// How many keys are read in one statement.
pub(super) const PAGE: i64 = 5_000;

/// The mark below which no event can appear any more.
///
/// # Errors
///
/// [`StoreError::Database`].
pub(super) async fn low_water(connection: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS "low_water!""#,
    )
    .fetch_one(connection)
    .await?)
}

/// The mark up to which events may have been pruned.
///
/// # Errors
///
/// [`StoreError::Database`].
pub(super) async fn horizon(connection: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!("SELECT xid FROM event_horizon").fetch_one(connection).await?)
}

/// The names of the events after a place in the feed, in its order, at most
/// [`PAGE`].
///
/// # Errors
///
/// [`StoreError::Database`].
pub(super) async fn keys_after(
    connection: &mut PgConnection,
    after: FeedKey,
) -> Result<Vec<FeedKey>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT xid, job_id, seq
        FROM job_events
        WHERE (xid, job_id, seq) > ($1, $2, $3)
        ORDER BY xid, job_id, seq
        LIMIT $4
        "#,
        after.xid,
        after.job_id.0,
        after.seq,
        PAGE,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| FeedKey { xid: row.xid, job_id: JobId(row.job_id), seq: row.seq })
        .collect())
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

/// A tenant's events that pass the filter and come after `after`, at most
/// `limit`, only of transactions below `below`, in the order of the feed: so
/// each job's in their own.
///
/// # Errors
///
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub(super) async fn replay(
    connection: &mut PgConnection,
    tenant: &TenantName,
    filter: &FeedFilter,
    after: FeedKey,
    below: i64,
    limit: i64,
) -> Result<Vec<Event>, StoreError> {
    if !filter.job_ids.is_empty() {
        return replay_of(connection, tenant, filter, after, below, limit).await;
    }
    sqlx::query_as!(
        EventRow,
        r#"
        SELECT job_id, seq, kind, state, attempt, created_at, lane, tenant, xid, details
        FROM job_events
        WHERE (xid, job_id, seq) > ($2, $3, $4)
          AND tenant = $1
          AND ($5::text IS NULL OR lane = $5)
          AND ($6::text IS NULL OR state = $6)
          AND xid < $7
        ORDER BY xid, job_id, seq
        LIMIT $8
        "#,
        tenant.as_str(),
        after.xid,
        after.job_id.0,
        after.seq,
        filter.lane.as_ref().map(LaneName::as_str),
        filter.state.map(JobState::as_str),
        below,
        limit,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// As [`replay`], of the jobs that the filter names: found by them, and not by
/// their place in the feed.
async fn replay_of(
    connection: &mut PgConnection,
    tenant: &TenantName,
    filter: &FeedFilter,
    after: FeedKey,
    below: i64,
    limit: i64,
) -> Result<Vec<Event>, StoreError> {
    let ids: Vec<Uuid> = filter.job_ids.iter().map(|id| id.0).collect();
    sqlx::query_as!(
        EventRow,
        r#"
        SELECT job_id, seq, kind, state, attempt, created_at, lane, tenant, xid, details
        FROM job_events
        WHERE job_id = ANY($5)
          AND (xid, job_id, seq) > ($2, $3, $4)
          AND tenant = $1
          AND ($6::text IS NULL OR lane = $6)
          AND ($7::text IS NULL OR state = $7)
          AND xid < $8
        ORDER BY xid, job_id, seq
        LIMIT $9
        "#,
        tenant.as_str(),
        after.xid,
        after.job_id.0,
        after.seq,
        &ids,
        filter.lane.as_ref().map(LaneName::as_str),
        filter.state.map(JobState::as_str),
        below,
        limit,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}
