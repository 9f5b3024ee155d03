//! What watchers are told from the ledger.

use uuid::Uuid;

use super::{Ledger, limited};
use crate::domain::{Event, JobId, TenantName};
use crate::store::{FeedFilter, FeedHead, FeedKey, StoreError, feed};

impl Ledger {
    /// The mark up to which events may have been pruned: a ledger transaction.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn event_horizon(&self) -> Result<i64, StoreError> {
        limited(feed::horizon(&mut *self.pool.acquire().await?)).await
    }

    /// The mark below which no event can appear any more: a ledger transaction.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn low_water(&self) -> Result<i64, StoreError> {
        limited(feed::low_water(&mut *self.pool.acquire().await?)).await
    }

    /// The names of all events from the transaction `from` on, and the mark.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn feed_head(&self, from: i64) -> Result<FeedHead, StoreError> {
        let connection = &mut *self.pool.acquire().await?;
        // First the mark, then the events: what commits between is above the mark.
        let low_water = limited(feed::low_water(&mut *connection)).await?;
        let mut keys: Vec<FeedKey> = Vec::new();
        loop {
            let start = FeedKey { xid: from, job_id: JobId(Uuid::nil()), seq: 0 };
            let last = keys.last().copied().unwrap_or(start);
            let page = limited(feed::keys_after(&mut *connection, last)).await?;
            let is_last = i64::try_from(page.len()).is_ok_and(|read| read < feed::PAGE);
            keys.extend(page);
            if is_last {
                return Ok(FeedHead { low_water, keys });
            }
        }
    }

    /// The named events that are there, in the order of the feed.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn feed_events(&self, keys: &[FeedKey]) -> Result<Vec<Event>, StoreError> {
        limited(feed::events(&mut *self.pool.acquire().await?, keys)).await
    }

    /// A tenant's events after a place in the feed and of transactions below
    /// `below`, at most `limit`, in its order.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn replay(
        &self,
        tenant: &TenantName,
        filter: &FeedFilter,
        after: FeedKey,
        below: i64,
        limit: i64,
    ) -> Result<Vec<Event>, StoreError> {
        limited(feed::replay(&mut *self.pool.acquire().await?, tenant, filter, after, below, limit))
            .await
    }
}
