//! Everything that is measured, on this machine: servers, a migrated ledger, edges and workers.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use jetlane_core::store;
use jetlane_devstack::{Data, Devstack, Settings};
use jetlane_tests::{Crashes, Process};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::usage::{Tree, Usage};

/// How long a process may take to listen, and to end.
const LIMIT: Duration = Duration::from_secs(30);

/// How often it is looked at meanwhile.
const POLL: Duration = Duration::from_millis(20);

/// What to bring up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// How many edges.
    pub edges: usize,
    /// How many workers.
    pub workers: usize,
    /// How many attempts each worker runs at once.
    pub slots: u16,
}

impl Default for Fleet {
    fn default() -> Self {
        Self { edges: 1, workers: 1, slots: 64 }
    }
}

/// Everything, running. Dropping it ends everything.
#[derive(Debug)]
pub struct Stack {
    // Dropped in this order: processes before their servers, and logs last.
    edges: Vec<Process>,
    workers: Vec<Process>,
    servers: Devstack,
    database_url: String,
    apis: Vec<SocketAddr>,
    _folder: TempDir,
}

impl Stack {
    /// Brings up everything, and returns once it listens. `program` is this package's, or any
    /// other that runs as the product if its first argument says so.
    ///
    /// # Errors
    ///
    /// The first that occurs; what was started ends then.
    pub async fn start(program: &Path, fleet: Fleet) -> anyhow::Result<Self> {
        let servers = servers().await?;
        servers.postgres.create_database("jetlane").await?;
        let database_url = servers.postgres.url("jetlane");
        store::migrate(&database_url).await.context("cannot migrate the ledger")?;

        let folder = tempfile::Builder::new().prefix("jetlane-loadtest-").tempdir()?;
        let crashes = Crashes::new();
        let start = |role: &str, n| {
            let command =
                command(program, role, fleet, &database_url, servers.nats.url(), folder.path());
            Process::start(&format!("{role}-{n}"), command, folder.path(), &crashes)
        };
        let edges: Vec<_> = (0..fleet.edges).map(|n| start("edge", n)).collect();
        let workers: Vec<_> = (0..fleet.workers).map(|n| start("worker", n)).collect();
        let mut apis = Vec::new();
        for process in edges.iter().chain(&workers) {
            let address = until_it_listens(process).await?;
            if apis.len() < fleet.edges {
                apis.push(address);
            }
        }
        Ok(Self { edges, workers, servers, database_url, apis, _folder: folder })
    }

    /// Where each edge serves HTTP.
    #[must_use]
    pub fn apis(&self) -> &[SocketAddr] {
        &self.apis
    }

    /// The ledger.
    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// The servers.
    #[must_use]
    pub fn servers(&self) -> &Devstack {
        &self.servers
    }

    /// What each part has used so far.
    ///
    /// # Errors
    ///
    /// If the system does not say.
    pub fn usage(&self) -> anyhow::Result<Parts<Usage>> {
        let of = |processes: &[Process]| {
            Tree::of(processes.iter().map(|process| process.pid().as_raw_nonzero().get()))
        };
        Ok(Parts {
            edge: of(&self.edges).usage()?,
            worker: of(&self.workers).usage()?,
            ..servers_usage(&self.servers)?
        })
    }

    /// Ends everything, what runs first.
    ///
    /// # Errors
    ///
    /// If a server does not stop; its guard goes on trying.
    pub async fn stop(self) -> anyhow::Result<()> {
        for process in self.edges.iter().chain(&self.workers) {
            process.signal(Signal::TERM);
        }
        for process in self.edges.iter().chain(&self.workers) {
            process.wait(LIMIT).await;
        }
        Ok(self.servers.stop().await?)
    }
}

/// Something of each part of the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Parts<T> {
    /// All edges.
    pub edge: T,
    /// All workers.
    pub worker: T,
    /// PostgreSQL with its backends.
    pub postgres: T,
    /// nats-server.
    pub nats: T,
}

impl Parts<Usage> {
    /// What was used since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            edge: self.edge.since(before.edge),
            worker: self.worker.since(before.worker),
            postgres: self.postgres.since(before.postgres),
            nats: self.nats.since(before.nats),
        }
    }

    /// The processor time of all parts, in seconds.
    #[must_use]
    pub fn cpu_s(&self) -> f64 {
        self.edge.cpu_s + self.worker.cpu_s + self.postgres.cpu_s + self.nats.cpu_s
    }
}

/// Both servers, of our own.
///
/// # Errors
///
/// If they do not start.
pub(crate) async fn servers() -> anyhow::Result<Devstack> {
    let settings = Settings::from_env()?.without_given();
    Ok(Devstack::start(&settings, &Data::Temporary).await?)
}

/// What two servers have used so far.
///
/// # Errors
///
/// If the system does not say.
fn servers_usage(servers: &Devstack) -> anyhow::Result<Parts<Usage>> {
    let of = |pid: Option<u32>| Tree::of(pid.and_then(|pid| i32::try_from(pid).ok())).usage();
    Ok(Parts {
        postgres: of(servers.postgres.pid())?,
        nats: of(servers.nats.pid())?,
        ..Parts::default()
    })
}

/// The versions of what is measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Versions {
    pub(crate) jetlane: String,
    pub(crate) postgresql: String,
    pub(crate) nats_server: String,
}

impl Versions {
    /// What these servers say that they are.
    ///
    /// # Errors
    ///
    /// If one of them does not answer.
    pub(crate) async fn of(servers: &Devstack) -> anyhow::Result<Self> {
        let mut connection = PgConnection::connect(servers.postgres.admin_url()).await?;
        let postgresql =
            sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await?;
        let nats = async_nats::connect(servers.nats.url()).await?;
        Ok(Self {
            jetlane: env!("CARGO_PKG_VERSION").to_owned(),
            postgresql,
            nats_server: nats.server_info().version,
        })
    }
}

fn command(
    program: &Path,
    role: &str,
    fleet: Fleet,
    database_url: &str,
    nats_url: &str,
    folder: &Path,
) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .current_dir(folder)
        .args([role, "--exit-with-parent"])
        .env("DATABASE_URL", database_url)
        .env("NATS_URL", nats_url)
        .env("HOST", "127.0.0.1")
        .env("PORT", "0")
        .env("WORKER_HOST", "127.0.0.1")
        .env("WORKER_PORT", "0")
        // What every attempt says of itself would be most of what is measured.
        .env(
            "LOG",
            "warn,jetlane_functions=info,jetlane_worker::run=info,jetlane_worker::http=info",
        )
        .env("GPU_COUNT", fleet.slots.to_string())
        .env("SIMULATE_FAILURE_RATE", "0");
    command
}

/// Waits until a process listens, and returns where.
async fn until_it_listens(process: &Process) -> anyhow::Result<SocketAddr> {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        if let Some(status) = process.end() {
            bail!("a process ended ({status}): {}", process.logged());
        }
        if let Some(address) = process.told("address") {
            return address.parse().with_context(|| format!("no address: {address}"));
        }
        sleep(POLL).await;
    }
    bail!("a process did not listen within {LIMIT:?}: {}", process.logged());
}
