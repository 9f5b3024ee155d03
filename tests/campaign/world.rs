//! The system under test: servers, and processes that reach them only through
//! proxies of their own.

mod disk;
mod gauges;
mod launch;
mod ledger;
mod member;
mod servers;

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::future::try_join_all;
use jetlane_tests::{Gateway, Limits};
use reqwest::Client;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use tokio::time::{Instant, sleep};

pub(crate) use gauges::{Pressure, keep_gauges};
pub(crate) use launch::Launch;
pub(crate) use member::{Incarnation, Member, Role};
pub(crate) use servers::Servers;
use servers::Storage;

use crate::args::Args;
use crate::faults::FaultKind;
use crate::keys;

/// The lanes that every worker serves.
pub(crate) const LANES: [&str; 2] = ["default", "batch"];

/// The tenants whose jobs are submitted.
pub(crate) const TENANTS: [&str; 2] = ["acme", "globex"];

/// How many attempts a worker runs at once.
pub(crate) const SLOTS: i64 = 8;

/// How many instances of a function there are, if a fault is about them.
const FUNCTIONS: usize = 2;

/// How long the system may take to come up.
const START_LIMIT: Duration = Duration::from_mins(1);

/// What functions get: more than they give themselves, and less than clients.
const FUNCTION_LIMITS: Limits =
    Limits { wait: Duration::from_millis(1500), answer: Duration::from_secs(4) };

/// How often it is looked at meanwhile.
const POLL: Duration = Duration::from_millis(50);

/// The system under test.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) servers: Servers,
    /// To look at the ledger behind the product's back.
    pub(crate) ledger: PgPool,
    pub(crate) edges: Vec<Member>,
    pub(crate) workers: Vec<Member>,
    /// Where functions are reached.
    pub(crate) gateway: Gateway,
    pub(crate) functions: Vec<Member>,
    pub(crate) versions: Versions,
}

/// What was under test.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Versions {
    pub(crate) postgresql: String,
    pub(crate) nats_server: String,
    pub(crate) jetlane: String,
}

impl World {
    /// Brings up servers, a migrated ledger, workers and edges, and waits until
    /// they work.
    ///
    /// # Errors
    ///
    /// The first that occurs; what was started ends then.
    pub(crate) async fn start(
        args: &Args,
        kinds: &[FaultKind],
        folder: &Path,
        http: &Client,
    ) -> anyhow::Result<Self> {
        let launch = Launch::new(args, folder)?;
        let servers = Servers::start(Storage::for_faults(kinds), args.footing()).await?;
        launch.migrate(&servers.database_url).await.context("cannot migrate the ledger")?;
        let ledger = ledger::connect(&servers.database_url)?;

        let members = |role: Role, count| {
            try_join_all((1..=count).map(|n| Member::start(role, n, &launch, &servers)))
        };
        let (edges, workers) =
            tokio::try_join!(members(Role::Edge, args.edges), members(Role::Worker, args.workers))?;
        // They are another program, which is to be built.
        let has_functions = kinds.contains(&FaultKind::FunctionsFrozen);
        if has_functions {
            launch.ensure_function()?;
        }
        let gateway =
            Gateway::start(if has_functions { FUNCTIONS } else { 0 }, FUNCTION_LIMITS).await?;
        let functions = (1..).zip(gateway.instances());
        let functions =
            functions.map(|(n, instance)| Member::start_function(instance, n, &launch, &servers));
        let functions = try_join_all(functions).await?;
        let versions = Versions {
            postgresql: sqlx::query_scalar("SHOW server_version").fetch_one(&ledger).await?,
            nats_server: servers.nats_version(http).await?,
            jetlane: launch.version().await?,
        };
        let world = Self { servers, ledger, edges, workers, gateway, functions, versions };
        world.until_ready(http).await?;
        keys::set_limits(http, world.edges[0].url().as_str()).await?;
        Ok(world)
    }

    /// All processes of the product.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.edges.iter().chain(&self.workers).chain(&self.functions)
    }

    /// The addresses of the edges that live.
    pub(crate) fn edge_urls(&self) -> HashSet<String> {
        let lives = self.edges.iter().map(Member::latest).filter(|life| life.lives());
        lives.map(|life| life.url.clone()).collect()
    }

    /// What the workers that live call themselves.
    pub(crate) fn worker_ids(&self) -> HashSet<String> {
        let lives = self.workers.iter().map(Member::latest).filter(|life| life.lives());
        lives.filter_map(|life| life.worker_id()).collect()
    }

    /// Whether PostgreSQL commits only what a replica has, of which there is none.
    ///
    /// # Errors
    ///
    /// The database's.
    pub(crate) async fn wait_for_replica(&self, is_on: bool) -> Result<(), sqlx::Error> {
        let change = if is_on {
            "ALTER SYSTEM SET synchronous_standby_names = 'nobody'"
        } else {
            "ALTER SYSTEM RESET synchronous_standby_names"
        };
        sqlx::query(change).execute(&self.ledger).await?;
        sqlx::query("SELECT pg_reload_conf()").execute(&self.ledger).await?;
        Ok(())
    }

    async fn until_ready(&self, http: &Client) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while !self.is_ready(http).await.unwrap_or(false) {
            if Instant::now() >= deadline {
                bail!("the system was not ready within {START_LIMIT:?}");
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    async fn is_ready(&self, http: &Client) -> anyhow::Result<bool> {
        let lanes: i64 = sqlx::query_scalar("SELECT count(*) FROM lanes WHERE name = ANY($1)")
            .bind(LANES.map(str::to_owned).to_vec())
            .fetch_one(&self.ledger)
            .await?;
        if lanes < i64::try_from(LANES.len())? {
            return Ok(false);
        }
        for edge in &self.edges {
            let answer = http.get(format!("{}/ready", edge.url())).send().await?;
            if answer.json::<Value>().await?["status"] != "ready" {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
