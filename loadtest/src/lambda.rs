//! Submitting through the `jobs` function, as Lambda runs it: one request at a time in each instance,
//! frozen in between. Beside `edge`, in the same run.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use jetlane_tests::{Crashes, Gateway, Limits, Process};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::args::LambdaArgs;
use crate::feed::Feed;
use crate::http::Connection;
use crate::latency::{Latency, Summary};
use crate::measure::{CLIENTS, bring_up, steady};
use crate::product;
use crate::report::Report;
use crate::stack::Stack;

/// How long things may take.
const LIMITS: Limits = Limits { wait: Duration::from_secs(20), answer: Duration::from_secs(20) };

/// How long a function may take to end.
const END_LIMIT: Duration = Duration::from_secs(10);

/// What submitting through functions came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lambda {
    /// Jobs per second.
    pub(crate) per_s: f64,
    /// Through an edge.
    pub(crate) edge: Submits,
    /// Through functions, by how many instances there are.
    pub(crate) warm: Vec<Warm>,
    /// Through an instance that is started for the request.
    pub(crate) cold: Submits,
}

/// From when a job was due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Submits {
    /// Until it was accepted.
    pub(crate) accepted: Summary,
    /// Until a watcher was told that it runs.
    pub(crate) running: Summary,
    /// Jobs that were not accepted.
    pub(crate) refused: u64,
}

/// Through so many instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Warm {
    pub(crate) instances: usize,
    pub(crate) submits: Submits,
    /// Connections to the ledger that all instances keep.
    pub(crate) ledger_connections: u64,
}

/// Measures submits through functions, and beside them through an edge.
///
/// # Errors
///
/// If something does not start, or a step fails.
pub(crate) async fn lambda(args: &LambdaArgs, report: &mut Report) -> anyhow::Result<()> {
    // It runs in a folder of its own.
    let function = std::fs::canonicalize(&args.function)
        .with_context(|| format!("there is no function {}", args.function.display()))?;
    let stack = bring_up(args.fleet.into(), report).await?;
    let edge = stack.apis()[0];
    let run = product::at(edge, edge, steady(args.rate, args.duration), CLIENTS).await?;
    let mut found = Lambda { per_s: args.rate, edge: submits(&run), ..Lambda::default() };
    for instances in &args.instances {
        let functions = Functions::start(&function, &stack, instances.get()).await?;
        // Each of them once, so that none is cold.
        functions.warm_up(edge).await?;
        let schedule = steady(args.rate, args.duration);
        let run = product::at(functions.address()?, edge, schedule, CLIENTS).await?;
        found.warm.push(Warm {
            instances: instances.get(),
            submits: submits(&run),
            ledger_connections: function_connections(stack.database_url()).await?,
        });
        functions.stop().await;
    }
    found.cold = cold(&function, &stack, args.cold.get()).await?;
    report.lambda = Some(found);
    stack.stop().await
}

fn submits(run: &product::Run) -> Submits {
    Submits {
        accepted: run.accepted.summary(),
        running: run.running.summary(),
        refused: run.refused,
    }
}

/// Starts an instance for each of some requests.
async fn cold(function: &Path, stack: &Stack, rounds: usize) -> anyhow::Result<Submits> {
    let mut feed = Feed::open(stack.apis()[0], "/events").await?;
    let (mut accepted, mut running) = (Latency::new(), Latency::new());
    for n in 0..rounds {
        let due = Instant::now();
        let functions = Functions::start(function, stack, 1).await?;
        let name = format!("cold-{n}");
        let body = format!(r#"{{"name":"{name}","params":{{"duration_ms":0}}}}"#);
        let status = Connection::open(functions.address()?, "/jobs").await?.post(&body).await?;
        ensure!(status == 201, "a job was answered with {status}");
        accepted.record(due.elapsed());
        let told = timeout(END_LIMIT, until_running(&mut feed, &name));
        running.record(told.await.context("nobody was told that the job runs")?? - due);
        functions.stop().await;
    }
    Ok(Submits { accepted: accepted.summary(), running: running.summary(), refused: 0 })
}

async fn until_running(feed: &mut Feed, name: &str) -> anyhow::Result<Instant> {
    loop {
        let heard = feed.next().await?;
        if heard.told.iter().any(|told| told.name == name && told.kind == "running") {
            return Ok(heard.at);
        }
    }
}

async fn function_connections(database_url: &str) -> anyhow::Result<u64> {
    let mut ledger = PgConnection::connect(database_url).await?;
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'jetlane-function'";
    let count: i64 = sqlx::query_scalar(sql).fetch_one(&mut ledger).await?;
    Ok(u64::try_from(count)?)
}

/// Instances of a function behind one address.
struct Functions {
    gateway: Gateway,
    processes: Vec<Arc<Process>>,
    _folder: TempDir,
}

impl Functions {
    async fn start(function: &Path, stack: &Stack, count: usize) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("jetlane-functions-").tempdir()?;
        let gateway = Gateway::start(count, LIMITS).await.context("cannot open a gateway")?;
        let crashes = Crashes::new();
        let fill = |(n, instance): (usize, &Arc<jetlane_tests::Instance>)| {
            let mut command = Command::new(function);
            command
                .env_clear()
                .current_dir(folder.path())
                .env("DATABASE_URL", stack.database_url())
                .env("NATS_URL", stack.servers().nats.url())
                .env("LOG", "warn");
            instance.fill(&format!("function-{n}"), command, folder.path(), &crashes)
        };
        let processes = gateway.instances().iter().enumerate().map(fill).collect();
        Ok(Self { gateway, processes, _folder: folder })
    }

    fn address(&self) -> anyhow::Result<SocketAddr> {
        let url = self.gateway.url();
        url.trim_start_matches("http://").parse().context("the gateway has no address")
    }

    /// Invokes every instance at once, and waits until the jobs have ended.
    async fn warm_up(&self, edge: SocketAddr) -> anyhow::Result<()> {
        let clients = self.processes.len();
        let span = Duration::from_secs(2);
        #[expect(clippy::cast_precision_loss, reason = "some instances")]
        let rate = (3 * clients) as f64 / span.as_secs_f64();
        let run = product::at(self.address()?, edge, steady(rate, span), clients).await?;
        if run.refused > 0 {
            bail!("{} submits were refused by functions that start", run.refused);
        }
        Ok(())
    }

    async fn stop(self) {
        for process in &self.processes {
            // They are frozen, and hear nothing else.
            process.signal(Signal::KILL);
        }
        for process in &self.processes {
            process.wait(END_LIMIT).await;
        }
    }
}
