//! What is done from time to time, by whoever gets to it.

use std::time::Duration;

use super::{Ledger, limited, readmit_after};
use crate::store::{
    Due, Promoted, Pruned, Reaped, Retention, StoreError, outbox, promote, prune, reap,
};

impl Ledger {
    /// Makes due jobs claimable, and fails those that were not started in
    /// time; some hundreds at a time.
    ///
    /// # Errors
    ///
    /// As all; promoting again does no harm. Of what came before, nothing is
    /// announced then: the relay does it.
    pub async fn promote(&self) -> Result<Promoted, StoreError> {
        let mut change =
            limited(promote::promote(&mut *self.pool.acquire().await?, promote::Due::Unkeyed))
                .await?;
        let keyed = self
            .transact(|connection| {
                Box::pin(async move {
                    let mut change =
                        promote::promote(&mut *connection, promote::Due::Keyed).await?;
                    change.extend(promote::expire(&mut *connection).await?.unsent);
                    readmit_after(connection, change).await
                })
            })
            .await?;
        change.extend(keyed.unsent);
        let next_due_in = limited(promote::next_due_in(&mut *self.pool.acquire().await?)).await?;
        Ok(Promoted { change, next_due_in })
    }

    /// Gives back the attempts of workers silent for `silence`, some of them
    /// at a time.
    ///
    /// # Errors
    ///
    /// As all; reaping again does no harm.
    pub async fn reap(&self, silence: Duration) -> Result<Reaped, StoreError> {
        self.transact(move |connection| {
            Box::pin(async move {
                let change = reap::reap(&mut *connection, silence).await?;
                let is_more = reap::is_full(&change);
                let change = readmit_after(&mut *connection, change).await?;
                Ok(Reaped { change, is_more, busy: reap::busy_workers(connection, silence).await? })
            })
        })
        .await
    }

    /// Lets go of some of what is older than it is kept: all but events.
    ///
    /// # Errors
    ///
    /// As all; pruning again does no harm.
    pub async fn prune(&self, retention: &Retention) -> Result<Pruned, StoreError> {
        let connection = &mut *self.pool.acquire().await?;
        Ok(Pruned {
            jobs: limited(prune::jobs(connection, retention)).await?,
            idempotency_keys: limited(prune::idempotency_keys(connection, retention)).await?,
            workers: limited(prune::workers(connection, retention)).await?,
        })
    }

    /// Makes room for the events of the weeks to come, and lets go of whole weeks that are older
    /// than events are kept. Returns how many.
    ///
    /// # Errors
    ///
    /// As all, also where the table is too busy to be locked at once; rotating again does no harm.
    pub async fn rotate_events(&self, retention: &Retention) -> Result<i32, StoreError> {
        let connection = &mut *self.pool.acquire().await?;
        limited(prune::make_event_partitions(connection)).await?;
        limited(prune::drop_event_partitions(connection, retention)).await
    }

    /// Strikes rows out of the outbox.
    ///
    /// # Errors
    ///
    /// See above; what stays is published again.
    pub async fn strike_out(&self, outbox_ids: &[i64]) -> Result<(), StoreError> {
        limited(outbox::strike_out(&mut *self.pool.acquire().await?, outbox_ids)).await
    }

    /// Takes rows of the outbox that are due, for `hold`.
    ///
    /// # Errors
    ///
    /// See above; what was taken is due again after `hold`.
    pub async fn take_due(&self, limit: i64, hold: Duration) -> Result<Vec<Due>, StoreError> {
        limited(outbox::take_due(&mut *self.pool.acquire().await?, limit, hold)).await
    }

    /// Counts a refusal by NATS against rows of the outbox. Returns how many
    /// were set aside by it.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn count_refusals(&self, outbox_ids: &[i64]) -> Result<u64, StoreError> {
        limited(outbox::count_refusals(&mut *self.pool.acquire().await?, outbox_ids)).await
    }

    /// How long until a row of the outbox is due; `None` if nothing is owed.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn outbox_due_in(&self) -> Result<Option<Duration>, StoreError> {
        limited(outbox::next_due_in(&mut *self.pool.acquire().await?)).await
    }
}
