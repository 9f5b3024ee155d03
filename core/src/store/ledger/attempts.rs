//! What workers do: they claim, renew and settle.

use std::time::Duration;

#[cfg(jetlane_mutants)]
use super::mutants;
use super::{Ledger, readmit_after};
use crate::domain::{Change, Frees, LaneName, Lease, Settlement, Share, TenantName, WorkerId};
use crate::store::{
    Claim, Claims, Held, MOST_TENANTS, Renewed, StoreError, claim, isolate, lanes, renew, settle,
    shares, workers,
};

impl Ledger {
    /// Leases claimable jobs to a worker; see [`Claim`] for what it asks.
    ///
    /// In the order in which they are to run. What another claim has locked is
    /// skipped, so fewer than asked for can come back although the lane holds
    /// more.
    ///
    /// # Errors
    ///
    /// As all. Jobs that were claimed after all are given back by the reaper.
    pub async fn claim(&self, request: &Claim) -> Result<Claims, StoreError> {
        self.run(async |connection| claim::claim(connection, request).await).await
    }

    /// The tenants of whom jobs are claimable in the lane, with their shares.
    ///
    /// Of more than [`MOST_TENANTS`] so many, by name from the one after the
    /// given one on, and round: with the last one found as the next `after`,
    /// each comes in its turn.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn shares(
        &self,
        lane: &LaneName,
        after: Option<&TenantName>,
    ) -> Result<Vec<Share>, StoreError> {
        let mut found =
            self.run(async |connection| shares::waiting(connection, lane, after).await).await?;
        if after.is_some() && found.len() < MOST_TENANTS {
            let mut start =
                self.run(async |connection| shares::waiting(connection, lane, None).await).await?;
            start.retain(|share| after.is_some_and(|after| share.tenant <= *after));
            start.truncate(MOST_TENANTS - found.len());
            found.extend(start);
        }
        Ok(found)
    }

    /// Reserves a job that is to run alone; see [`Self::claim_isolated`].
    /// Returns whether there is one for this worker.
    ///
    /// # Errors
    ///
    /// As all; reserving again does no harm.
    pub async fn reserve_isolated(
        &self,
        lane: &LaneName,
        worker: WorkerId,
    ) -> Result<bool, StoreError> {
        self.run(async |connection| isolate::reserve(connection, lane, worker).await).await
    }

    /// Leases the reserved job to the worker, which holds nothing else; even one
    /// that cannot be read. `None` if it was cancelled, removed or taken over, or
    /// if the lane was paused.
    ///
    /// # Errors
    ///
    /// As all. A job that was claimed after all is given back by the reaper.
    pub async fn claim_isolated(
        &self,
        lane: &LaneName,
        worker: WorkerId,
        gpu_id: i32,
        lease: Duration,
    ) -> Result<Option<Claims>, StoreError> {
        let lane = lane.clone();
        self.transact(move |connection| {
            Box::pin(async move {
                let change = isolate::claim(&mut *connection, &lane, worker, gpu_id, lease).await?;
                let lease = change
                    .events()
                    .next()
                    .map(|event| Lease { job_id: event.job_id, attempt: event.attempt });
                let Some(lease) = lease else { return Ok(None) };
                isolate::claimed(connection, lease, change).await.map(Some)
            })
        })
        .await
    }

    /// Leaves what the worker has reserved to others.
    ///
    /// # Errors
    ///
    /// As all; giving up again does no harm.
    pub async fn give_up_isolated(&self, worker: WorkerId) -> Result<Change, StoreError> {
        self.run(async |connection| isolate::give_up(connection, worker).await).await
    }

    /// Moves the worker's heartbeat and its leases. What was held and does not
    /// come back was taken away.
    ///
    /// # Errors
    ///
    /// As all; renewing again does no harm.
    pub async fn renew(
        &self,
        worker: WorkerId,
        held: &[Held],
        lease: Duration,
    ) -> Result<Vec<Renewed>, StoreError> {
        self.run(async |connection| renew::beat(connection, worker).await).await?;
        self.run(async |connection| renew::renew(connection, worker, held, lease).await).await
    }

    /// Ends attempts. Those that the change says nothing of were superseded, and
    /// nothing was written of them.
    ///
    /// # Errors
    ///
    /// As all; settling again does no harm.
    pub async fn settle(&self, settlements: Vec<Settlement>) -> Result<Change, StoreError> {
        #[cfg(jetlane_mutants)]
        let settlements = self
            .run(async |connection| mutants::settlements(connection, settlements).await)
            .await?;
        if settlements.iter().all(|settlement| settlement.frees == Frees::Slot) {
            return self
                .run(async |connection| settle::settle(connection, &settlements).await)
                .await;
        }
        self.transact(move |connection| {
            Box::pin(async move {
                let change = settle::settle(&mut *connection, &settlements).await?;
                readmit_after(connection, change).await
            })
        })
        .await
    }

    /// Makes those of the lanes that do not exist.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn register_lanes(&self, lanes: &[LaneName]) -> Result<(), StoreError> {
        self.run(async |connection| lanes::register(connection, lanes).await).await
    }

    /// Enters a worker, or moves its heartbeat.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn register_worker(&self, worker: WorkerId, slots: i32) -> Result<(), StoreError> {
        self.run(async |connection| workers::register(connection, worker, slots).await).await
    }

    /// Strikes out a worker that holds nothing.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn remove_worker(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.run(async |connection| workers::remove(connection, worker).await).await
    }
}
