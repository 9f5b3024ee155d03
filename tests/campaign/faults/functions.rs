//! Instances of functions that rest for so long that servers give their
//! connections up, and then have much to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde_json::json;
use tokio::task::JoinSet;

use super::{Fault, Felt};
use crate::campaign::Ground;
use crate::history::Phase;
use crate::violations::{Invariant, Violation};

/// What functions call themselves to servers.
const NAME: &str = "jetlane-function";

/// How many clients come one after another once the instances have rested, and
/// how many at once then.
const IN_TURN: usize = 5;
const AT_ONCE: usize = 15;

/// The connections of functions, by the servers' numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections {
    postgres: BTreeSet<i32>,
    nats: BTreeSet<u64>,
}

impl Connections {
    /// Those that servers have now.
    async fn open(ground: &Ground) -> anyhow::Result<Self> {
        let postgres: Vec<i32> =
            sqlx::query_scalar("SELECT pid FROM pg_stat_activity WHERE application_name = $1")
                .bind(NAME)
                .fetch_all(&ground.world.ledger)
                .await?;
        let servers = &ground.world.servers;
        let nats = servers.nats_connections(NAME, &ground.clients.http).await?;
        Ok(Self { postgres: postgres.into_iter().collect(), nats })
    }

    /// How many of these are not among `later` ones, on PostgreSQL and on NATS.
    fn gone(&self, later: &Self) -> (usize, usize) {
        (
            self.postgres.difference(&later.postgres).count(),
            self.nats.difference(&later.nats).count(),
        )
    }

    fn is_empty(&self) -> bool {
        self.postgres.is_empty() && self.nats.is_empty()
    }
}

/// Every instance has been frozen since its last invocation, perhaps one of an
/// earlier fault of this kind, for longer than the servers' idle limits. Then
/// clients come, and are served.
#[derive(Default)]
pub(super) struct Frozen {
    /// Connections that were closed while nobody could notice.
    closed: usize,
    /// Jobs that were accepted afterwards.
    accepted: u64,
}

impl Fault for Frozen {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            if ground.functions_left().is_empty() {
                come_at_once(ground, ground.world.functions.len()).await;
                ground.leave_functions(Connections::open(ground).await?);
            }
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            let (postgres, nats) = ground.functions_left().gone(&Connections::open(ground).await?);
            self.closed = postgres + nats;
            let closed = json!({ "closed_by_postgres": postgres, "closed_by_nats": nats });
            ground.history.note("functions", Phase::Invoke, None, closed);

            let before = ground.world.gateway.answered();
            let clients = ground.clients.through_the_gateway();
            for _ in 0..IN_TURN {
                clients.drive().await;
            }
            let in_turn = ground.world.gateway.answered();
            let refused_in_turn = count(&in_turn, 503) - count(&before, 503);
            come_at_once(ground, AT_ONCE).await;

            let mut answered = ground.world.gateway.answered();
            for (status, count) in &mut answered {
                *count -= before.get(status).unwrap_or(&0);
            }
            ground.history.note("functions", Phase::Ok, None, json!(answered));
            self.accepted = answered.remove(&201).unwrap_or(0);
            let refused = answered.remove(&503).unwrap_or(0);
            let failed: u64 = answered.range(500..).map(|(_, count)| count).sum();
            // Who comes alone finds an instance free, and the ledger well.
            if self.accepted <= refused || refused_in_turn > 0 || failed > 0 {
                let what = format!(
                    "functions that had rested accepted {} jobs, turned {refused} calls away, \
                     {refused_in_turn} of them in turn, and failed {failed}",
                    self.accepted
                );
                ground.history.blame(Violation::general(Invariant::Api, what));
            }
            ground.leave_functions(Connections::open(ground).await?);
            Ok(())
        }
        .boxed_local()
    }

    fn felt<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        let count = if self.accepted > 0 { self.closed as u64 } else { 0 };
        std::future::ready(Felt { what: "resting connections closed", count }).boxed_local()
    }
}

/// How many answers had this status.
fn count(answered: &BTreeMap<u16, u64>, status: u16) -> u64 {
    answered.get(&status).copied().unwrap_or(0)
}

async fn come_at_once(ground: &Ground, count: usize) {
    let clients = Arc::new(ground.clients.through_the_gateway());
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let clients = Arc::clone(&clients);
        calls.spawn(async move { clients.drive().await });
    }
    calls.join_all().await;
}
