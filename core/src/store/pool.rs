//! Connections to the ledger, and how they are lent.

use std::fmt;
use std::time::Duration;

use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};
use tokio::time::{error::Elapsed, sleep, timeout};

use super::StoreError;
#[cfg(jetlane_mutants)]
use crate::config::Mutant;

/// How a process connects to the ledger.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// `postgresql://…`
    pub url: String,
    /// What `pg_stat_activity` shows.
    pub application_name: &'static str,
    /// At most so many connections.
    pub max_connections: u32,
    /// How long a caller waits for a connection before it is told that the
    /// ledger is unavailable.
    pub acquire_timeout: Duration,
    /// A connection that nobody used for so long is asked for a sign of life
    /// first; zero asks every one. See [`RESTED`].
    pub rested: Duration,
}

/// After how long a rest a connection is asked for a sign of life, in a process
/// that is never frozen. One that is cannot tell how long a connection rested:
/// the freeze may have come while the connection was on its way back.
pub const RESTED: Duration = Duration::from_secs(1);

/// How long a statement waits for a lock unless it says otherwise.
pub(super) const LOCK_TIMEOUT: &str = "4s";

/// A connection that takes longer to answer is given up: its peer may be gone
/// without a word.
const SIGN_OF_LIFE_LIMIT: Duration = Duration::from_millis(500);

/// The same of one whose last statement was given up half-way. A server that is
/// busy must not lose its connections over it: making new ones keeps it busier
/// still.
const RESET_LIMIT: Duration = Duration::from_millis(1_500);

/// What a server keeps for a connection grows with what was done there.
const MAX_AGE: Duration = Duration::from_mins(30);

/// Between attempts to connect to a server that starts or is away.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Connections to the ledger. Clones share them.
///
/// Nothing is said to the server when a connection comes back: two more round
/// trips for each statement are what most of them would cost. The one used last
/// is lent first: what the server keeps for it is still at hand.
#[derive(Clone, Debug)]
pub struct Connections {
    pool: managed::Pool<Maker>,
    acquire_timeout: Duration,
}

/// Makes connections, and looks at one before it is lent again.
#[derive(Debug)]
struct Maker {
    options: PgConnectOptions,
    rested: Duration,
}

struct Kept {
    connection: PgConnection,
    /// Whoever borrowed it last went away half-way: it may be in a transaction
    /// that sqlx does not know of (a `begin` that was dropped). The next
    /// borrower's write would be acknowledged and then lost.
    is_in_doubt: bool,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("is_in_doubt", &self.is_in_doubt).finish_non_exhaustive()
    }
}

/// Connects, and proves it by one connection.
///
/// # Errors
///
/// [`StoreError::Database`] if the URL is none or the server does not answer
/// within the acquire time-out.
pub async fn connect(settings: &PoolSettings) -> Result<Connections, StoreError> {
    let connections = connect_lazy(settings)?;
    drop(connections.lend().await?);
    Ok(connections)
}

/// Makes a pool that connects when it is first used. Needs a tokio runtime.
///
/// # Errors
///
/// [`StoreError::Database`] if the URL is none, or no connection is allowed.
pub fn connect_lazy(settings: &PoolSettings) -> Result<Connections, StoreError> {
    let options: PgConnectOptions = settings.url.parse::<PgConnectOptions>()?;
    // A statement that hangs must not hold a connection, or a row, for ever.
    let options = options.application_name(settings.application_name).options([
        ("statement_timeout", "5s"),
        ("lock_timeout", LOCK_TIMEOUT),
        // Ours does nothing else in between: its peer is gone, and what it has locked holds up others.
        ("idle_in_transaction_session_timeout", "3s"),
        // Accepted means on disk, whatever the database's own default is.
        ("synchronous_commit", "on"),
        // Planning takes longer than most of our statements do, and each has one
        // good plan whatever it is asked: none may rely on a parameter's value.
        ("plan_cache_mode", "force_generic_plan"),
        // A plan that was made while a table was small is kept while it grows.
        ("enable_seqscan", "off"),
    ]);
    let pool = managed::Pool::builder(Maker { options, rested: settings.rested })
        .max_size(settings.max_connections as usize)
        .queue_mode(QueueMode::Lifo)
        .build()
        .map_err(|error| sqlx::Error::Configuration(error.into()))?;
    Ok(Connections { pool, acquire_timeout: settings.acquire_timeout })
}

impl Connections {
    /// What `work` yields, done with a connection within `limit`; waiting for
    /// the connection does not count.
    ///
    /// Work that takes longer than the server's own limits allow may have a
    /// peer that is gone without a word: its connection is closed. Else such
    /// connections could be all that there are, until the system notices.
    ///
    /// # Errors
    ///
    /// Those of `work`; [`StoreError::Database`] also if there is no connection
    /// to be had, and then nothing was done.
    pub(super) async fn run<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut kept = self.lend().await?;
        kept.is_in_doubt = true;
        let result = timeout(limit, work(&mut kept.connection))
            .await
            .unwrap_or_else(|elapsed| Err(too_late(elapsed).into()));
        if result.as_ref().is_err_and(StoreError::is_connection_lost) {
            drop(Object::take(kept));
        } else {
            kept.is_in_doubt = false;
        }
        result
    }

    /// Closes every connection that is not lent, and the others when they come
    /// back. Lends no more.
    pub(super) fn close(&self) {
        self.pool.close();
    }

    /// How to reach the server.
    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.pool.manager().options
    }

    async fn lend(&self) -> Result<Object<Maker>, StoreError> {
        let lent = timeout(self.acquire_timeout, self.pool.get()).await;
        Ok(lent.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Closed => sqlx::Error::PoolClosed,
            PoolError::Timeout(_)
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_) => sqlx::Error::PoolTimedOut,
        })?)
    }
}

impl managed::Manager for Maker {
    type Type = Kept;
    type Error = sqlx::Error;

    /// Tries on while the server starts or is away, for as long as the caller waits.
    async fn create(&self) -> Result<Kept, sqlx::Error> {
        loop {
            // In a box: it is large, and part of every caller that might have to wait for it.
            match Box::pin(self.options.connect()).await {
                Ok(connection) => return Ok(Kept { connection, is_in_doubt: false }),
                Err(error) if may_pass(&error) => sleep(RECONNECT_PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn recycle(&self, kept: &mut Kept, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.age() > MAX_AGE {
            return Err(RecycleError::message("too old"));
        }
        #[cfg(jetlane_mutants)]
        if Mutant::NoPoolGuard.is_on() {
            return Ok(());
        }
        if kept.is_in_doubt {
            // Alone, ROLLBACK would warn in the server's log every time.
            let reset = kept.connection.execute("BEGIN; ROLLBACK");
            timeout(RESET_LIMIT, reset).await.map_err(too_late)??;
        } else if metrics.last_used() >= self.rested {
            timeout(SIGN_OF_LIFE_LIMIT, Box::pin(kept.connection.ping()))
                .await
                .map_err(too_late)??;
        }
        Ok(())
    }
}

/// Whether the server is away, or starts and takes no connections yet.
fn may_pass(error: &sqlx::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    match error {
        sqlx::Error::Io(error) => {
            matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
        }
        sqlx::Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    }
}

fn too_late(elapsed: Elapsed) -> sqlx::Error {
    sqlx::Error::Io(elapsed.into())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(6);

    /// Without a look at what is in doubt, about one borrower in twenty gets it.
    #[tokio::test]
    async fn a_begin_that_was_dropped_leaves_no_transaction_to_the_next_borrower() {
        let database = jetlane_devstack::database(|_| async { Ok(()) }).await.unwrap();
        let settings = PoolSettings {
            url: database.url.clone(),
            application_name: "pool-test",
            max_connections: 1,
            acquire_timeout: Duration::from_secs(20),
            rested: RESTED,
        };
        let connections = connect(&settings).await.unwrap();

        for _ in 0..200 {
            let begin = connections.run(LIMIT, async |connection| {
                connection.begin().await?;
                Ok(())
            });
            // One poll sends BEGIN; dropping the future forgets the answer, if it is not there yet.
            let _ = begin.now_or_never();

            let is_own = connections.run(LIMIT, async |connection| {
                // As text: a prepared statement begins its transaction before its query.
                let row = sqlx::raw_sql(
                    "SELECT xact_start >= query_start
                     FROM pg_stat_activity
                     WHERE pid = pg_backend_pid()",
                )
                .fetch_one(connection)
                .await?;
                Ok(sqlx::Row::get::<bool, _>(&row, 0))
            });
            assert!(is_own.await.unwrap(), "inside a transaction that another began");
        }
    }
}
