//! The ledger as the rest of the product calls it: it borrows connections,
//! begins and commits.

use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::{PgConnection, PgPool};
use tokio_util::task::TaskTracker;

use super::accept::Accepted;
use super::keys::Key;
use super::{
    Cancelled, Claim, Claims, Deleted, Due, FeedFilter, FeedHead, FeedKey, Held, JobFilter,
    Promoted, Reaped, Renewed, StoreError, Updated, accept, cancel, claim, delete, feed, find,
    keys, lanes, list, outbox, promote, reap, renew, settle, update, workers,
};
use crate::domain::{
    Change, Event, Job, JobId, JobPatch, JobState, LaneName, NewJob, Settlement, TenantName,
    WorkerId,
};

/// The ledger. Clones share its connections.
///
/// Unless a method says otherwise, its errors are [`StoreError::Database`],
/// after which it is unknown whether a change took effect, and
/// [`StoreError::Corrupt`].
#[derive(Clone, Debug)]
pub struct Ledger {
    pool: PgPool,
    /// Transactions under way. They run to their end even if the caller goes
    /// away, since a dropped `begin` or `commit` leaves its outcome to chance.
    transactions: TaskTracker,
}

impl Ledger {
    /// A ledger behind `pool`, which [`connect`](super::connect) made.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool, transactions: TaskTracker::new() }
    }

    /// Waits for transactions under way and closes every connection.
    pub async fn close(&self) {
        self.transactions.close();
        self.transactions.wait().await;
        self.pool.close().await;
    }

    /// Asks the ledger for a sign of life.
    ///
    /// # Errors
    ///
    /// If it gives none within the acquire and statement time-outs.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query_scalar!(r#"SELECT 1 AS "one!""#).fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Accepts a job: once this returns, it is never lost.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownLane`], and then nothing was written; else see above.
    pub async fn accept(&self, new: NewJob) -> Result<Accepted, StoreError> {
        let Some(name) = new.concurrency_key.clone() else {
            return accept::accept(&mut *self.pool.acquire().await?, new).await;
        };
        let key = Key { tenant: new.tenant.to_string(), name };
        self.transact(move |connection| {
            Box::pin(async move {
                let mut accepted = accept::accept(&mut *connection, new).await?;
                accepted.change.extend(keys::readmit(connection, &key).await?);
                Ok(accepted)
            })
        })
        .await
    }

    /// Leases claimable jobs to a worker; see [`Claim`] for what it asks.
    ///
    /// In the order in which they are to run: higher priority, then older. What
    /// another claim has locked is skipped, so fewer than asked for can come
    /// back although the lane holds more.
    ///
    /// # Errors
    ///
    /// See above. Jobs that were claimed after all are given back by the reaper.
    pub async fn claim(&self, request: &Claim) -> Result<Claims, StoreError> {
        claim::claim(&mut *self.pool.acquire().await?, request).await
    }

    /// Moves the worker's heartbeat and its leases. What was held and does not
    /// come back was taken away.
    ///
    /// # Errors
    ///
    /// See above; renewing again does no harm.
    pub async fn renew(
        &self,
        worker: WorkerId,
        held: &[Held],
        lease: Duration,
    ) -> Result<Vec<Renewed>, StoreError> {
        renew::renew(&mut *self.pool.acquire().await?, worker, held, lease).await
    }

    /// Ends an attempt. `is_keyed` as the claim said. An empty change means
    /// that the attempt was superseded and nothing was written.
    ///
    /// # Errors
    ///
    /// See above; settling again does no harm.
    pub async fn settle(
        &self,
        settlement: Settlement,
        is_keyed: bool,
    ) -> Result<Change, StoreError> {
        if !is_keyed {
            return settle::settle(&mut *self.pool.acquire().await?, &settlement).await;
        }
        self.transact(move |connection| {
            Box::pin(async move {
                let change = settle::settle(&mut *connection, &settlement).await?;
                readmit_after(connection, change).await
            })
        })
        .await
    }

    /// Cancels a waiting job, or marks a running one for its worker to stop.
    ///
    /// # Errors
    ///
    /// See above; asking again does no harm.
    pub async fn cancel(&self, tenant: &TenantName, id: JobId) -> Result<Cancelled, StoreError> {
        let owner = tenant.clone();
        let change = self
            .transact(move |connection| {
                Box::pin(async move {
                    let key = keys::key_of(&mut *connection, &owner, id).await?;
                    let change = cancel::cancel(&mut *connection, &owner, id).await?;
                    readmit_one(connection, key, change).await
                })
            })
            .await?;
        if change.events().next().is_some() {
            return Ok(Cancelled::Accepted(change));
        }
        Ok(match self.find(tenant, id).await? {
            None => Cancelled::NotFound,
            Some(job) => match job.state {
                JobState::Completed | JobState::Failed => Cancelled::Final(job.state),
                JobState::Scheduled
                | JobState::Queued
                | JobState::Running
                | JobState::Cancelled => Cancelled::Already,
            },
        })
    }

    /// Changes a waiting job. An empty patch writes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownLane`], and then nothing was written; else see above.
    pub async fn update(
        &self,
        tenant: &TenantName,
        id: JobId,
        patch: JobPatch,
    ) -> Result<Updated, StoreError> {
        if patch.is_empty() {
            let is_there = self.find(tenant, id).await?.is_some();
            return Ok(if is_there { Updated::Done(Change::default()) } else { Updated::NotFound });
        }
        let owner = tenant.clone();
        let change = self
            .transact(move |connection| {
                Box::pin(async move {
                    let key = keys::key_of(&mut *connection, &owner, id).await?;
                    let change = update::update(&mut *connection, &owner, id, patch).await?;
                    readmit_one(connection, key, change).await
                })
            })
            .await?;
        if change.events().next().is_some() {
            return Ok(Updated::Done(change));
        }
        Ok(match self.find(tenant, id).await? {
            None => Updated::NotFound,
            Some(job) => Updated::TooLate(job.state),
        })
    }

    /// Removes a job that does not run. Its events stay.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn delete(&self, tenant: &TenantName, id: JobId) -> Result<Deleted, StoreError> {
        let owner = tenant.clone();
        let change = self
            .transact(move |connection| {
                Box::pin(async move {
                    let key = keys::key_of(&mut *connection, &owner, id).await?;
                    let change = delete::delete(&mut *connection, &owner, id).await?;
                    readmit_one(connection, key, change).await
                })
            })
            .await?;
        if change.events().next().is_some() {
            return Ok(Deleted::Done(change));
        }
        Ok(match self.find(tenant, id).await? {
            None => Deleted::NotFound,
            Some(_) => Deleted::Running,
        })
    }

    /// The job, if the tenant has it.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn find(&self, tenant: &TenantName, id: JobId) -> Result<Option<Job>, StoreError> {
        find::find(&mut *self.pool.acquire().await?, tenant, id).await
    }

    /// A tenant's jobs, newest first, at most `limit`, only those older than `before`.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn list(
        &self,
        tenant: &TenantName,
        filter: &JobFilter,
        before: Option<JobId>,
        limit: i64,
    ) -> Result<Vec<Job>, StoreError> {
        list::list(&mut *self.pool.acquire().await?, tenant, filter, before, limit).await
    }

    /// Makes due jobs claimable, some hundreds at a time.
    ///
    /// # Errors
    ///
    /// See above; promoting again does no harm.
    pub async fn promote(&self) -> Result<Promoted, StoreError> {
        self.transact(|connection| {
            Box::pin(async move {
                let change = promote::promote(&mut *connection).await?;
                let change = readmit_after(&mut *connection, change).await?;
                Ok(Promoted { change, next_due_in: promote::next_due_in(connection).await? })
            })
        })
        .await
    }

    /// Gives back the attempts of workers silent for `silence`.
    ///
    /// # Errors
    ///
    /// See above; reaping again does no harm.
    pub async fn reap(&self, silence: Duration) -> Result<Reaped, StoreError> {
        self.transact(move |connection| {
            Box::pin(async move {
                let change = reap::reap(&mut *connection, silence).await?;
                let change = readmit_after(&mut *connection, change).await?;
                Ok(Reaped { change, busy: reap::busy_workers(connection, silence).await? })
            })
        })
        .await
    }

    /// Makes those of the lanes that do not exist.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn register_lanes(&self, lanes: &[LaneName]) -> Result<(), StoreError> {
        lanes::register(&mut *self.pool.acquire().await?, lanes).await
    }

    /// Enters a worker, or moves its heartbeat.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn register_worker(&self, worker: WorkerId, slots: i32) -> Result<(), StoreError> {
        workers::register(&mut *self.pool.acquire().await?, worker, slots).await
    }

    /// Strikes out a worker that holds nothing.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn remove_worker(&self, worker: WorkerId) -> Result<(), StoreError> {
        workers::remove(&mut *self.pool.acquire().await?, worker).await
    }

    /// Strikes rows out of the outbox.
    ///
    /// # Errors
    ///
    /// See above; what stays is published again.
    pub async fn strike_out(&self, outbox_ids: &[i64]) -> Result<(), StoreError> {
        outbox::strike_out(&mut *self.pool.acquire().await?, outbox_ids).await
    }

    /// Takes rows of the outbox that are due, for `hold`.
    ///
    /// # Errors
    ///
    /// See above; what was taken is due again after `hold`.
    pub async fn take_due(&self, limit: i64, hold: Duration) -> Result<Vec<Due>, StoreError> {
        outbox::take_due(&mut *self.pool.acquire().await?, limit, hold).await
    }

    /// Counts a refusal by NATS against rows of the outbox. Returns how many
    /// were set aside by it.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn count_refusals(&self, outbox_ids: &[i64]) -> Result<u64, StoreError> {
        outbox::count_refusals(&mut *self.pool.acquire().await?, outbox_ids).await
    }

    /// How long until a row of the outbox is due; `None` if nothing is owed.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn outbox_due_in(&self) -> Result<Option<Duration>, StoreError> {
        outbox::next_due_in(&mut *self.pool.acquire().await?).await
    }

    /// The mark below which no event can appear any more: a ledger transaction.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn low_water(&self) -> Result<i64, StoreError> {
        feed::low_water(&mut *self.pool.acquire().await?).await
    }

    /// The names of all events from the transaction `from` on, and the mark.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn feed_head(&self, from: i64) -> Result<FeedHead, StoreError> {
        feed::head(&mut *self.pool.acquire().await?, from).await
    }

    /// The named events that are there, in the order of the feed.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn feed_events(&self, keys: &[FeedKey]) -> Result<Vec<Event>, StoreError> {
        feed::events(&mut *self.pool.acquire().await?, keys).await
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
        feed::replay(&mut *self.pool.acquire().await?, tenant, filter, after, below, limit).await
    }

    /// Runs `work` in a transaction of its own task, and commits if it succeeds.
    async fn transact<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, StoreError>>
            + Send
            + 'static,
    {
        let pool = self.pool.clone();
        self.transactions
            .spawn(async move {
                let mut transaction = pool.begin().await?;
                match work(&mut transaction).await {
                    Ok(value) => {
                        transaction.commit().await?;
                        Ok(value)
                    }
                    Err(error) => {
                        // Now, not when the connection is used next: it holds locks.
                        transaction.rollback().await?;
                        Err(error)
                    }
                }
            })
            .await
            .map_err(|_| StoreError::Abandoned)?
    }
}

/// Moves the key on after a change of the one job that has it.
async fn readmit_one(
    connection: &mut PgConnection,
    key: Option<Key>,
    mut change: Change,
) -> Result<Change, StoreError> {
    if let Some(key) = key
        && !change.unsent.is_empty()
    {
        change.extend(keys::readmit(connection, &key).await?);
    }
    Ok(change)
}

/// Moves on the keys of all jobs that a change was about.
async fn readmit_after(
    connection: &mut PgConnection,
    mut change: Change,
) -> Result<Change, StoreError> {
    let ids: Vec<_> = change.events().map(|event| event.job_id.0).collect();
    if ids.is_empty() {
        return Ok(change);
    }
    for key in keys::keys_of(&mut *connection, &ids).await? {
        change.extend(keys::readmit(&mut *connection, &key).await?);
    }
    Ok(change)
}
