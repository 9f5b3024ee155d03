//! Coming to rest after the last fault, and what is left over then.

use std::time::{Duration, Instant};

use anyhow::Context;
use sqlx::PgPool;
use tokio::time::sleep;

use super::Ground;
use crate::checker::{Ledger, missing};
use crate::watching::Watchers;

/// How long all that was accepted may take to end.
const DRAIN_LIMIT: Duration = Duration::from_secs(90);

/// How long watchers may take to get the last events, and NATS what it is owed.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

/// How often it is looked at.
const POLL: Duration = Duration::from_millis(250);

/// A transaction that is idle for longer was left.
const IDLE_LIMIT: &str = "1 s";

/// What was left over when all had come to rest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quiet {
    /// Sessions of the product that left a transaction open.
    pub(crate) idle_in_transaction: Vec<String>,
    /// What the ledger still owes to NATS.
    pub(crate) owed: i64,
    /// What could not be told to NATS, and was set aside.
    pub(crate) set_aside: i64,
}

/// Waits until every job has ended, every watcher knows, and nothing is owed;
/// or until each has had its time: the checker will tell.
///
/// # Errors
///
/// If the ledger cannot be read.
pub(super) async fn come_to_rest(
    ground: &Ground,
    watchers: &Watchers,
) -> anyhow::Result<(Quiet, Ledger)> {
    ground.restore().await?;
    ground.clients.resume_all().await;
    watchers.calm_down();
    let pool = &ground.world.ledger;
    until(DRAIN_LIMIT, async || Ok(open_jobs(pool).await? == 0)).await?;

    let ledger = Ledger::read(pool).await.context("cannot read the ledger")?;
    let is_known =
        async || Ok(watchers.logs.iter().all(|log| missing(&log.watched(), &ledger).is_empty()));
    until(SETTLE_LIMIT, is_known).await?;
    until(SETTLE_LIMIT, async || Ok(owed(pool, false).await? == 0)).await?;

    let quiet = Quiet {
        idle_in_transaction: idle_in_transaction(pool).await?,
        owed: owed(pool, false).await?,
        set_aside: owed(pool, true).await?,
    };
    Ok((quiet, ledger))
}

async fn until(
    limit: Duration,
    mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    while !is_so().await? && Instant::now() < deadline {
        sleep(POLL).await;
    }
    Ok(())
}

async fn open_jobs(ledger: &PgPool) -> anyhow::Result<i64> {
    let count = sqlx::query_scalar(
        "SELECT count(*) FROM jobs WHERE state IN ('scheduled', 'queued', 'running')",
    );
    Ok(count.fetch_one(ledger).await?)
}

async fn owed(ledger: &PgPool, is_aside: bool) -> anyhow::Result<i64> {
    let count = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE aside = $1");
    Ok(count.bind(is_aside).fetch_one(ledger).await?)
}

async fn idle_in_transaction(ledger: &PgPool) -> anyhow::Result<Vec<String>> {
    let sessions = sqlx::query_scalar(
        "SELECT application_name || ': ' || query
         FROM pg_stat_activity
         WHERE application_name LIKE 'jetlane-%'
           AND state LIKE 'idle in transaction%'
           AND state_change < now() - $1::interval",
    );
    Ok(sessions.bind(IDLE_LIMIT).fetch_all(ledger).await?)
}
