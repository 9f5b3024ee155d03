//! Everything on this machine: servers, a migrated ledger, `edge` and workers.
//!
//! Nothing of it outlives this process. The servers have guards (see
//! devstack), and `edge` and workers hold the reading end of a pipe: however
//! this process ends, they notice.

mod child;
mod ended;
mod logs;
mod ports;
mod ready;
mod servers;

use std::time::Duration;

use anyhow::Context;
use futures_util::future::select_all;
use jetlane_core::shutdown::Shutdown;
use jetlane_core::{causes, store};

pub(crate) use child::Environment;
use child::{Child, Program};
pub(crate) use ended::Ended;
pub(crate) use logs::Logs;
pub(crate) use servers::{Ledger, Servers};

use crate::client::Api;
use crate::output::complain;

/// How often another free port is tried after someone took the one before.
const PORT_TRIES: usize = 3;

/// What to bring up.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where the data lives.
    pub(crate) ledger: Ledger,
    /// Where processes write what they have to say.
    pub(crate) logs: Logs,
    /// Where the API listens; any free port if `None`.
    pub(crate) port: Option<u16>,
    /// How many workers.
    pub(crate) workers: usize,
    /// What processes inherit.
    pub(crate) environment: Environment,
    /// Settings of `edge` and of workers, over what they inherit.
    pub(crate) settings: Vec<(&'static str, String)>,
}

/// Everything, running.
#[derive(Debug)]
pub(crate) struct Stack {
    servers: Servers,
    api: Api,
    /// `edge` first.
    children: Vec<Child>,
    logs: Logs,
}

impl Stack {
    /// Brings up everything, and returns once it is ready; `None` if `shutdown` comes first.
    /// Unless all is up, whatever was started is stopped again first, if there is no abort.
    ///
    /// # Errors
    ///
    /// The first that occurs.
    pub(crate) async fn start(plan: Plan, shutdown: &Shutdown) -> anyhow::Result<Option<Self>> {
        let bring_up = Box::pin(Self::bring_up(plan, shutdown));
        Ok(shutdown.abort.run_until_cancelled(bring_up).await.transpose()?.flatten())
    }

    async fn bring_up(plan: Plan, shutdown: &Shutdown) -> anyhow::Result<Option<Self>> {
        let Plan { ledger, logs, port, workers, environment, mut settings } = plan;
        if let Some(port) = port {
            ports::check_free(port)?;
        }
        let start = Box::pin(Servers::start(&ledger, environment, shutdown));
        let Some(servers) = start.await? else {
            return Ok(None);
        };
        settings.push(("DATABASE_URL", servers.database_url().to_owned()));
        settings.push(("NATS_URL", servers.nats_url().to_owned()));
        let program = Program { environment, settings, logs: logs.folder().to_owned() };

        let processes = Box::pin(start_processes(&program, servers.database_url(), port, workers));
        let failed = match shutdown.drain.run_until_cancelled(processes).await {
            Some(Ok((api, children))) => return Ok(Some(Self { servers, api, children, logs })),
            Some(Err(error)) => Err(error),
            None => Ok(None),
        };
        // Dropping our own servers would do; those that were given keep what we made there.
        if let Err(error) = servers.stop().await {
            complain(causes(&error));
        }
        failed
    }

    /// The API's client.
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// The servers.
    pub(crate) fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Where processes write what they have to say.
    pub(crate) fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Has the logs kept when the stack is gone, and says where.
    pub(crate) fn keep_logs(&mut self) -> String {
        self.logs.keep();
        self.logs.folder().display().to_string()
    }

    /// The processes of the workers that run.
    pub(crate) fn worker_pids(&self) -> Vec<u32> {
        self.children.iter().filter(|child| !child.is_edge()).map(Child::pid).collect()
    }

    /// Waits until one of the processes or of our servers ends by itself, and tells of that once.
    /// Waits for ever once none is left.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<Ended> {
        tokio::select! {
            ended = one_ended(&mut self.children) => ended,
            ended = self.servers.ended() => Ok(ended.into()),
        }
    }

    /// Stops everything, processes first: they have `grace` to drain.
    ///
    /// # Errors
    ///
    /// If a server does not stop; its guard goes on trying.
    pub(crate) async fn stop(self, grace: Duration) -> anyhow::Result<()> {
        let stops = self.children.into_iter().map(|child| child.stop(grace));
        futures_util::future::join_all(stops).await;
        self.servers.stop().await
    }
}

/// Waits until one of `children` ends, and takes it from them. For ever if there is none.
async fn one_ended(children: &mut Vec<Child>) -> anyhow::Result<Ended> {
    if children.is_empty() {
        return std::future::pending().await;
    }
    let ends = children.iter_mut().map(|child| Box::pin(child.ended()));
    let (status, index, _) = select_all(ends).await;

    let child = children.remove(index);
    let status = status.with_context(|| format!("cannot wait for {}", child.name()))?;
    Ok(Ended {
        name: child.name().to_owned(),
        pid: Some(child.pid()),
        status: Some(status),
        last_words: child.last_words(),
    })
}

/// Migrates the ledger, and starts `edge` and `workers` workers, `edge` first in what is returned.
/// Those that were started are killed if another does not start.
async fn start_processes(
    program: &Program,
    database_url: &str,
    port: Option<u16>,
    workers: usize,
) -> anyhow::Result<(Api, Vec<Child>)> {
    store::migrate(database_url).await.context("cannot migrate the ledger")?;
    let edge = start_edge(program, port);
    let workers = start_workers(program, workers);
    let (edge, workers) = tokio::join!(edge, workers);
    let (api, edge) = edge?;
    Ok((api, std::iter::once(edge).chain(workers?).collect()))
}

async fn start_edge(program: &Program, port: Option<u16>) -> anyhow::Result<(Api, Child)> {
    let mut tries = if port.is_some() { 1 } else { PORT_TRIES };
    loop {
        tries -= 1;
        let port = port.map_or_else(ports::free, Ok)?;
        let mut edge = program.spawn_edge(port)?;
        let api = Api::new(&format!("http://127.0.0.1:{port}"))?;
        match ready::until_ready(&mut edge, || is_ready(&api)).await {
            Ok(()) => return Ok((api, edge)),
            Err(error) if tries == 0 => return Err(error),
            Err(error) if !ports::was_taken(&edge.last_words()) => return Err(error),
            Err(_) => {}
        }
    }
}

async fn is_ready(api: &Api) -> anyhow::Result<bool> {
    Ok(api.ready().await?["status"] == "ready")
}

async fn start_workers(program: &Program, count: usize) -> anyhow::Result<Vec<Child>> {
    let starts = (1..=count).map(|number| start_worker(program, number));
    futures_util::future::try_join_all(starts).await
}

async fn start_worker(program: &Program, number: usize) -> anyhow::Result<Child> {
    let mut tries = PORT_TRIES;
    loop {
        tries -= 1;
        let port = ports::free()?;
        let mut worker = program.spawn_worker(number, port)?;
        let probe = Api::new(&format!("http://127.0.0.1:{port}"))?;
        match ready::until_ready(&mut worker, || async { Ok(probe.is_healthy().await) }).await {
            Ok(()) => return Ok(worker),
            Err(error) if tries == 0 => return Err(error),
            Err(error) if !ports::was_taken(&worker.last_words()) => return Err(error),
            Err(_) => {}
        }
    }
}
