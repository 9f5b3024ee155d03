//! The worker as a process of its own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jetlane_core::clock::SystemClock;
use jetlane_core::config::{Vars, WorkerConfig};
use jetlane_core::shutdown::Shutdown;
use jetlane_core::telemetry;
use tokio::runtime;
use tokio::task::JoinSet;

/// A request or a job is many small pieces of memory; of what an edge costs this saves a
/// fifth (docs/PERFORMANCE.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads for everything but the leases. What a worker does itself is little;
/// heavy work belongs into processes that tools start.
const THREADS: usize = 2;

/// How long a name lookup or another blocking call may hold up the exit.
const EXIT_LIMIT: Duration = Duration::from_secs(1);

fn main() -> anyhow::Result<()> {
    let vars = Vars::from_environment()?;
    let (filter, format) = vars.log()?;
    telemetry::init(&filter, format).context("LOG is no filter")?;
    let config = WorkerConfig::from_vars(&vars)?;

    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(run(config));
    runtime.shutdown_timeout(EXIT_LIMIT);
    result
}

async fn run(config: WorkerConfig) -> anyhow::Result<()> {
    let shutdown = Shutdown::default();
    let grace = config.drain_grace;
    let mut signals = JoinSet::new();
    let heard = shutdown.clone();
    signals.spawn(async move {
        if let Err(error) = heard.on_signals(grace).await {
            tracing::error!(%error, "cannot hear signals; only kill -9 stops this worker");
        }
    });
    jetlane_worker::run(config, Arc::new(SystemClock), shutdown).await
}
