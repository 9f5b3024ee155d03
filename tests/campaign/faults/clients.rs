//! Clients that come all at once, and clients that leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::{Fault, Felt};
use crate::campaign::Ground;

/// How many clients come at once.
const STORM: usize = 300;

/// How often another client comes that hangs up.
const HANG_UP_PERIOD: Duration = Duration::from_millis(20);

/// So many more come with it whose jobs nobody would accept: nothing is to be run for them, so that
/// many can hang up, some of them at each step of a transaction.
const HOPELESS: usize = 3;

/// The longest that a client waits before it hangs up, in milliseconds.
const LONGEST_WAIT: u64 = 50;

/// Hundreds of clients connect and submit at once, each on a connection of its own.
#[derive(Default)]
pub(super) struct Storm {
    clients: JoinSet<bool>,
    accepted: u64,
}

impl Fault for Storm {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        let clients = Arc::new(ground.clients.with_connections_of_their_own());
        for _ in 0..STORM {
            let clients = Arc::clone(&clients);
            self.clients.spawn(async move { clients.drive().await });
        }
        std::future::ready(Ok(())).boxed_local()
    }

    fn heal<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            while let Some(accepted) = self.clients.join_next().await {
                self.accepted += u64::from(accepted.unwrap_or(false));
            }
            Ok(())
        }
        .boxed_local()
    }

    fn felt<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        std::future::ready(Felt { what: "jobs accepted at once", count: self.accepted })
            .boxed_local()
    }
}

/// Clients hang up before they are answered.
pub(super) struct HangUps {
    rng: StdRng,
    clients: JoinSet<()>,
    stop: CancellationToken,
    count: Arc<AtomicU64>,
}

impl HangUps {
    pub(super) fn new(chance: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(chance),
            clients: JoinSet::new(),
            stop: CancellationToken::new(),
            count: Arc::default(),
        }
    }
}

impl Fault for HangUps {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        let (clients, count) = (Arc::clone(&ground.clients), Arc::clone(&self.count));
        let (mut rng, stop) = (StdRng::seed_from_u64(self.rng.random()), self.stop.clone());
        self.clients.spawn(async move {
            let mut ticks = interval(HANG_UP_PERIOD);
            let mut calls = JoinSet::new();
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                while calls.try_join_next().is_some() {}
                for n in 0..=HOPELESS {
                    let after = Duration::from_millis(rng.random_range(0..LONGEST_WAIT));
                    let (clients, count) = (Arc::clone(&clients), Arc::clone(&count));
                    let mut rng = StdRng::seed_from_u64(rng.random());
                    calls.spawn(async move {
                        let hung_up = if n == 0 {
                            clients.hang_up(after).await
                        } else {
                            clients.hang_up_hopelessly(after, &mut rng).await
                        };
                        count.fetch_add(u64::from(hung_up), Ordering::Relaxed);
                    });
                }
            }
            // Whoever has a key asks again until there is an answer.
            calls.join_all().await;
        });
        std::future::ready(Ok(())).boxed_local()
    }

    fn heal<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        self.stop.cancel();
        std::future::ready(Ok(())).boxed_local()
    }

    fn felt<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        async move {
            while self.clients.join_next().await.is_some() {}
            Felt { what: "calls abandoned", count: self.count.load(Ordering::Relaxed) }
        }
        .boxed_local()
    }
}
