//! What operators do: lanes, shares and limits.

use super::Ledger;
use crate::domain::{Change, ConcurrencyLimit, Lane, LaneName, LanePatch, Share, TenantName};
use crate::store::keys::Key;
use crate::store::{StoreError, keys, lanes, shares};

impl Ledger {
    /// All lanes, by name.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn lanes(&self) -> Result<Vec<Lane>, StoreError> {
        self.run(async |connection| lanes::list(connection, None).await).await
    }

    /// A lane, if there is one of this name.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn lane(&self, name: &LaneName) -> Result<Option<Lane>, StoreError> {
        Ok(self.run(async |connection| lanes::list(connection, Some(name)).await).await?.pop())
    }

    /// Changes a lane's policy, and makes the lane unless it is there. The change
    /// rings the lane, since more may be allowed now. After a change of its ageing, call [`Self::rank_anew`] until there is no more to do; what is
    /// missed is done later as a duty.
    ///
    /// # Errors
    ///
    /// As all; the same may be asked again.
    pub async fn update_lane(
        &self,
        name: &LaneName,
        patch: LanePatch,
    ) -> Result<Change, StoreError> {
        let lane = name.clone();
        self.transact(move |connection| {
            Box::pin(async move {
                lanes::register(&mut *connection, std::slice::from_ref(&lane)).await?;
                lanes::update(&mut *connection, &lane, &patch).await?;
                match patch.rate {
                    None => {}
                    Some(None) => lanes::free_rate(&mut *connection, &lane).await?,
                    Some(Some(rate)) => {
                        lanes::limit_rate(&mut *connection, &lane, rate).await?;
                    }
                }
                lanes::ring(connection, &lane).await
            })
        })
        .await
    }

    /// Stops giving out a lane's jobs. Returns whether there is such a lane.
    ///
    /// # Errors
    ///
    /// As all; pausing again does no harm.
    pub async fn pause_lane(&self, name: &LaneName) -> Result<bool, StoreError> {
        self.run(async |connection| lanes::pause(connection, name).await).await
    }

    /// Gives a lane's jobs out again. The change is empty if it was not paused.
    ///
    /// # Errors
    ///
    /// As all; resuming again does no harm.
    pub async fn resume_lane(&self, name: &LaneName) -> Result<Change, StoreError> {
        self.run(async |connection| lanes::resume(connection, name).await).await
    }

    /// Sets a tenant's share of a lane.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownLane`], and then nothing was written; else as all.
    pub async fn set_share(&self, lane: &LaneName, share: &Share) -> Result<(), StoreError> {
        self.run(async |connection| shares::set(connection, lane, share).await).await
    }

    /// Sets how many jobs of a tenant's concurrency key run at once. What it
    /// makes room for is in the change.
    ///
    /// # Errors
    ///
    /// As all; the same may be asked again.
    pub async fn limit_concurrency(
        &self,
        tenant: &TenantName,
        name: String,
        limit: ConcurrencyLimit,
    ) -> Result<Change, StoreError> {
        let key = Key { tenant: tenant.to_string(), name };
        self.transact(move |connection| {
            Box::pin(async move {
                keys::set_limit(&mut *connection, &key, limit).await?;
                Ok(Change { unsent: keys::readmit(connection, &[key]).await? })
            })
        })
        .await
    }
}
