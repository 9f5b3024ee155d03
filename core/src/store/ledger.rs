//! The ledger as the rest of the product calls it: it borrows connections,
//! begins and commits.

mod attempts;
mod duties;
mod jobs;
mod lanes;
#[cfg(jetlane_mutants)]
mod mutants;
mod reading;

use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::{Connection, PgConnection};
use tokio_util::task::TaskTracker;

use super::keys::Key;
use super::pool::Connections;
use super::{StoreError, keys, migrate};
#[cfg(jetlane_mutants)]
use crate::config::Mutant;
use crate::domain::{Change, JobId};

/// How long the server may keep a statement or a transaction waiting for its
/// answer; longer than it works on a statement or waits for a lock.
const ANSWER_LIMIT: Duration = Duration::from_secs(6);

/// The ledger. Clones share its connections.
///
/// Unless a method says otherwise, its errors are [`StoreError::Database`],
/// after which it is unknown whether a change took effect, and
/// [`StoreError::Corrupt`].
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(super) connections: Connections,
    /// Transactions under way. They run to their end even if the caller goes
    /// away, since a dropped `begin` or `commit` leaves its outcome to chance.
    transactions: TaskTracker,
}

impl Ledger {
    /// The ledger that [`connect`](super::connect) has connected to.
    #[must_use]
    pub fn new(connections: Connections) -> Self {
        Self { connections, transactions: TaskTracker::new() }
    }

    /// Waits for transactions under way and closes every connection.
    pub async fn close(&self) {
        self.transactions.close();
        self.transactions.wait().await;
        self.connections.close();
    }

    /// Asks the ledger for a sign of life.
    ///
    /// # Errors
    ///
    /// If it gives none within the acquire and statement time-outs.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.run(async |connection| {
            sqlx::query_scalar!(r#"SELECT 1 AS "one!""#).fetch_one(connection).await?;
            Ok(())
        })
        .await
    }

    /// Whether the schema is one that this process can work with.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn is_current(&self) -> Result<bool, StoreError> {
        self.run(async |connection| Ok(migrate::is_current(connection).await?)).await
    }

    /// Does `work` with a connection, each statement for itself.
    async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.connections.run(ANSWER_LIMIT, work).await
    }

    /// Runs `work` in a transaction of its own task, and commits if it succeeds.
    async fn transact<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, StoreError>>
            + Send
            + 'static,
    {
        let transaction = transaction(self.connections.clone(), work);
        #[cfg(jetlane_mutants)]
        if Mutant::NoPoolGuard.is_on() {
            return transaction.await;
        }
        self.transactions.spawn(transaction).await.map_err(|_| StoreError::Abandoned)?
    }
}

/// A transaction from its begin to its end.
async fn transaction<T, F>(connections: Connections, work: F) -> Result<T, StoreError>
where
    F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, StoreError>>,
{
    connections
        .run(ANSWER_LIMIT, async |connection| {
            let mut transaction = connection.begin().await?;
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
}

/// Moves the key on after a change of the one job that has it.
pub(super) async fn readmit_one(
    connection: &mut PgConnection,
    key: Option<Key>,
    mut change: Change,
) -> Result<Change, StoreError> {
    if let Some(key) = key
        && !change.unsent.is_empty()
    {
        change.extend(keys::readmit(connection, &[key]).await?);
    }
    Ok(change)
}

/// Moves on the keys of all jobs that a change was about.
pub(super) async fn readmit_after(
    connection: &mut PgConnection,
    change: Change,
) -> Result<Change, StoreError> {
    let ids: Vec<_> = change.events().map(|event| event.job_id).collect();
    readmit_of(connection, &ids, change).await
}

/// Moves on the keys of the jobs, in addition to what a change brought.
pub(super) async fn readmit_of(
    connection: &mut PgConnection,
    ids: &[JobId],
    mut change: Change,
) -> Result<Change, StoreError> {
    if ids.is_empty() {
        return Ok(change);
    }
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let keys = keys::keys_of(&mut *connection, &ids).await?;
    if !keys.is_empty() {
        change.extend(keys::readmit(&mut *connection, &keys).await?);
    }
    Ok(change)
}
