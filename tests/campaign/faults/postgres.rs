//! PostgreSQL that stops, crashes, or ends its sessions.

use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use jetlane_devstack::Postgres;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

use super::{Fault, Felt};
use crate::campaign::Ground;

/// How long a server that was told to stop at once may take.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// How often the product's sessions are ended.
const END_PERIOD: Duration = Duration::from_millis(250);

/// PostgreSQL is gone for a while: by an immediate shutdown, or by kill -9.
/// Either way it recovers from its log when it starts.
pub(super) struct Restarted {
    is_killed: bool,
    troubles: u64,
}

impl Restarted {
    pub(super) fn new(chance: u64) -> Self {
        Self { is_killed: StdRng::seed_from_u64(chance).random_bool(0.5), troubles: 0 }
    }
}

impl Fault for Restarted {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            self.troubles = ground.troubles();
            let mut postgres = ground.world.servers.postgres.lock().await;
            if self.is_killed {
                return Ok(postgres.kill().await?);
            }
            stop_at_once(&postgres).await
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move { Ok(ground.world.servers.postgres.lock().await.start_again().await?) }
            .boxed_local()
    }

    fn felt<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        let count = ground.troubles() - self.troubles;
        std::future::ready(Felt { what: "calls in trouble", count }).boxed_local()
    }
}

async fn stop_at_once(postgres: &Postgres) -> anyhow::Result<()> {
    let pid = postgres.pid().and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
    kill_process(pid.context("PostgreSQL does not run")?, Signal::QUIT)?;
    let deadline = Instant::now() + STOP_LIMIT;
    while postgres.pid().is_some() {
        anyhow::ensure!(Instant::now() < deadline, "PostgreSQL does not stop");
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// A backend dies: PostgreSQL ends all of them and recovers by itself.
pub(super) struct Crashed {
    rng: StdRng,
    before: Vec<i32>,
    ended: u64,
}

impl Crashed {
    pub(super) fn new(chance: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(chance), before: Vec::new(), ended: 0 }
    }
}

impl Fault for Crashed {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            self.before = backends(&ground.world.ledger).await?;
            let pid = self.before.choose(&mut self.rng).and_then(|pid| Pid::from_raw(*pid));
            let pid = pid.context("the product has no connection to PostgreSQL")?;
            Ok(kill_process(pid, Signal::KILL)?)
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            let deadline = Instant::now() + STOP_LIMIT;
            // It answers again once it has recovered.
            loop {
                match backends(&ground.world.ledger).await {
                    Ok(after) => {
                        let is_gone = |pid: &&i32| !after.contains(pid);
                        self.ended = self.before.iter().filter(is_gone).count() as u64;
                        if self.ended > 1 {
                            return Ok(());
                        }
                    }
                    Err(error) if Instant::now() >= deadline => return Err(error.into()),
                    Err(_) => {}
                }
                anyhow::ensure!(Instant::now() < deadline, "PostgreSQL does not notice");
                sleep(Duration::from_millis(20)).await;
            }
        }
        .boxed_local()
    }

    fn felt<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        std::future::ready(Felt { what: "sessions ended", count: self.ended }).boxed_local()
    }
}

/// The processes of the product's sessions.
async fn backends(ledger: &PgPool) -> Result<Vec<i32>, sqlx::Error> {
    sqlx::query_scalar("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'jetlane-%'")
        .fetch_all(ledger)
        .await
}

/// The product's sessions are ended, again and again.
#[derive(Default)]
pub(super) struct BackendsEnded {
    ending: JoinSet<()>,
    ended: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Fault for BackendsEnded {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        let (ledger, ended) = (ground.world.ledger.clone(), std::sync::Arc::clone(&self.ended));
        self.ending.spawn(async move {
            let mut ticks = interval(END_PERIOD);
            loop {
                ticks.tick().await;
                let count = end_backends(&ledger).await.unwrap_or(0);
                ended.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
            }
        });
        std::future::ready(Ok(())).boxed_local()
    }

    fn heal<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            self.ending.shutdown().await;
            Ok(())
        }
        .boxed_local()
    }

    fn felt<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        let count = self.ended.load(std::sync::atomic::Ordering::Relaxed);
        std::future::ready(Felt { what: "sessions ended", count }).boxed_local()
    }
}

/// PostgreSQL waits for a replica that is not there, and commits nothing.
#[derive(Default)]
pub(super) struct CommitsStuck {
    troubles: u64,
}

impl Fault for CommitsStuck {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        self.troubles = ground.troubles();
        async { Ok(ground.world.wait_for_replica(true).await?) }.boxed_local()
    }

    fn heal<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async { Ok(ground.world.wait_for_replica(false).await?) }.boxed_local()
    }

    fn felt<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        let count = ground.troubles() - self.troubles;
        std::future::ready(Felt { what: "calls in trouble", count }).boxed_local()
    }
}

async fn end_backends(ledger: &PgPool) -> Result<u64, sqlx::Error> {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
         FROM pg_stat_activity
         WHERE application_name LIKE 'jetlane-%'",
    )
    .fetch_one(ledger)
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}
