//! What watchers are told from the ledger.

use uuid::Uuid;

use super::Ledger;
use crate::domain::{Event, JobId, TenantName};
use crate::store::{FeedFilter, FeedHead, FeedKey, StoreError, feed};

impl Ledger {
    /// The mark up to which events may have been pruned: a ledger transaction.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn event_horizon(&self) -> Result<i64, StoreError> {
        self.run(async |connection| feed::horizon(connection).await).await
    }

    /// The mark below which no event can appear any more: a ledger transaction.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn low_water(&self) -> Result<i64, StoreError> {
        self.run(async |connection| feed::low_water(connection).await).await
    }

    /// The names of all events from the transaction `from` on, and the mark.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn feed_head(&self, from: i64) -> Result<FeedHead, StoreError> {
        // First the mark, then the events: what commits between is above the mark.
        let low_water = self.low_water().await?;
        let mut keys: Vec<FeedKey> = Vec::new();
        loop {
            let start = FeedKey { xid: from, job_id: JobId(Uuid::nil()), seq: 0 };
            let last = keys.last().copied().unwrap_or(start);
            let page =
                self.run(async |connection| feed::keys_after(connection, last).await).await?;
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
        self.run(async |connection| feed::events(connection, keys).await).await
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
        self.run(async |connection| {
            feed::replay(connection, tenant, filter, after, below, limit).await
        })
        .await
    }
}
