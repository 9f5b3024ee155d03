//! Workers that die, freeze, come back, or are replaced.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::sleep;

use super::victims::{any, running, until_busy};
use super::{Fault, Felt};
use crate::campaign::Ground;
use crate::world::{Incarnation, Member};

/// How soon a worker that was frozen must have found out.
const FOUND_OUT: Duration = Duration::from_secs(8);

/// kill -9 of a worker that runs attempts.
pub(super) struct Killed {
    rng: StdRng,
    victim: Option<String>,
    lost: u64,
}

impl Killed {
    pub(super) fn new(chance: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(chance), victim: None, lost: 0 }
    }
}

impl Fault for Killed {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            let worker = any(&ground.world.workers, &mut self.rng);
            until_busy(ground, worker, LONG).await;
            worker.kill().await?;
            self.lost = running(ground, worker).await.len() as u64;
            self.victim = Some(worker.name.clone());
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            let victim =
                ground.world.workers.iter().find(|w| Some(&w.name) == self.victim.as_ref());
            match victim {
                Some(worker) => worker.start_again().await,
                None => Ok(()),
            }
        }
        .boxed_local()
    }

    fn felt<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        std::future::ready(Felt { what: "attempts lost", count: self.lost }).boxed_local()
    }
}

/// How long attempts take that are to be under way when their worker is hit, in
/// milliseconds.
const LONG: Range<u64> = 1_200..1_500;

/// And those whose worker is frozen: by the time it thaws they are done there,
/// and under way once more elsewhere.
const UNTIL_TAKEN: Range<u64> = 4_000..5_000;

/// How many of a frozen worker's jobs are cancelled meanwhile, half of them at
/// most, and those that take least: whoever finds the worker dead ends them at once,
/// in the place of the attempt that it still has. The others run elsewhere when it
/// thaws, and what takes long still does.
const CANCELLED: usize = 2;

/// SIGSTOP of a worker that runs attempts, for longer than it may be silent.
pub(super) struct Zombie {
    rng: StdRng,
    victim: Option<Arc<Incarnation>>,
    /// What it had been refused before.
    before: u64,
}

impl Zombie {
    pub(super) fn new(chance: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(chance), victim: None, before: 0 }
    }
}

impl Fault for Zombie {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            let worker = any(&ground.world.workers, &mut self.rng);
            until_busy(ground, worker, UNTIL_TAKEN).await;
            let life = worker.latest();
            life.freeze();
            let held = running(ground, worker).await;
            let cancelled = CANCELLED.min(held.len() / 2);
            for job in held.into_iter().take(cancelled) {
                ground.clients.cancel_by_name(job.id, &job.name, &mut self.rng).await;
            }
            self.before = life.refused();
            self.victim = Some(life);
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            if let Some(life) = &self.victim {
                life.thaw();
            }
            Ok(())
        }
        .boxed_local()
    }

    fn felt<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        async move {
            let mut count = 0;
            let deadline = Instant::now() + FOUND_OUT;
            while let Some(life) = &self.victim {
                count = life.refused() - self.before;
                if count > 0 || Instant::now() >= deadline {
                    break;
                }
                sleep(Duration::from_millis(50)).await;
            }
            Felt { what: "late results refused", count }
        }
        .boxed_local()
    }
}

/// Every worker in turn gets SIGTERM and is replaced.
#[derive(Default)]
pub(super) struct Rolled {
    /// Attempts that were under way.
    running: u64,
}

impl Fault for Rolled {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            for worker in &ground.world.workers {
                self.running += running(ground, worker).await.len() as u64;
                replace(ground, worker).await?;
            }
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        std::future::ready(Ok(())).boxed_local()
    }

    fn felt<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        std::future::ready(Felt { what: "attempts drained", count: self.running }).boxed_local()
    }
}

/// Tells a process to end, sees that it does so in good order, and starts
/// another in its place.
pub(super) async fn replace(ground: &Ground, member: &Member) -> anyhow::Result<()> {
    ground.end_in_good_order(member).await?;
    member.start_again().await
}
