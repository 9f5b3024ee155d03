//! What watchers are told from the ledger.

use super::{Ledger, limited};
use crate::domain::{Event, TenantName};
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
    /// See above.
    pub async fn low_water(&self) -> Result<i64, StoreError> {
        limited(feed::low_water(&mut *self.pool.acquire().await?)).await
    }

    /// The names of all events from the transaction `from` on, and the mark.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn feed_head(&self, from: i64) -> Result<FeedHead, StoreError> {
        limited(feed::head(&mut *self.pool.acquire().await?, from)).await
    }

    /// The named events that are there, in the order of the feed.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn feed_events(&self, keys: &[FeedKey]) -> Result<Vec<Event>, StoreError> {
        limited(feed::events(&mut *self.pool.acquire().await?, keys)).await
    }

    /// A tenant's events after a place in the feed and of transactions below
    /// `below`, at most `limit`, in its order.
    ///
    /// # Errors
    ///
    /// See above.
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
