//! Connections to the ledger.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, Executor, PgPool};
use tokio::time::{error::Elapsed, timeout};

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

/// The same of one that was just in use. A server that is busy must not lose its
/// connections over it: making new ones keeps it busier still. Less than callers
/// wait for a connection: one whose peer is silent takes a place for as long.
const RESET_LIMIT: Duration = Duration::from_millis(1_500);

/// Connects, and proves it by one connection.
///
/// # Errors
///
/// [`StoreError::Database`] if the URL is none or the server does not answer
/// within the acquire time-out.
pub async fn connect(settings: &PoolSettings) -> Result<PgPool, StoreError> {
    let pool = connect_lazy(settings)?;
    drop(pool.acquire().await?);
    Ok(pool)
}

/// Makes a pool that connects when it is first used. Needs a tokio runtime.
///
/// # Errors
///
/// [`StoreError::Database`] if the URL is none.
pub fn connect_lazy(settings: &PoolSettings) -> Result<PgPool, StoreError> {
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

    let rested = settings.rested;
    Ok(PgPoolOptions::new()
        .max_connections(settings.max_connections)
        .acquire_timeout(settings.acquire_timeout)
        .idle_timeout(Duration::from_mins(5))
        .max_lifetime(Duration::from_mins(30))
        // A connection that was in use a moment ago is taken as it is; one that
        // rested may be dead, if only because this process was frozen.
        .test_before_acquire(false)
        .before_acquire(move |connection, meta| {
            Box::pin(async move {
                if meta.idle_for >= rested {
                    timeout(SIGN_OF_LIFE_LIMIT, connection.ping()).await.map_err(too_late)??;
                }
                Ok(true)
            })
        })
        .after_release(|connection, _| {
            Box::pin(async move {
                #[cfg(jetlane_mutants)]
                if Mutant::NoPoolGuard.is_on() {
                    return Ok(true);
                }
                // A `begin` that was dropped half-way leaves the connection in
                // a transaction that sqlx does not know of; the next
                // borrower's write would be acknowledged and then lost. Alone,
                // ROLLBACK would warn in the server's log every time.
                let reset = connection.execute("BEGIN; ROLLBACK");
                timeout(RESET_LIMIT, reset).await.map_err(too_late)??;
                Ok(true)
            })
        })
        .connect_lazy_with(options))
}

fn too_late(elapsed: Elapsed) -> sqlx::Error {
    sqlx::Error::Io(elapsed.into())
}
