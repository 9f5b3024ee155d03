//! `edge`: the whole router as a long-lived server.

use std::sync::Arc;

use jetlane_core::clock::SystemClock;
use jetlane_core::config::{EdgeConfig, Vars};
use jetlane_core::shutdown::Shutdown;
use jetlane_core::telemetry;
use jetlane_functions::edge;

/// A request or a job is many small pieces of memory; of what an edge costs this saves a
/// fifth (docs/PERFORMANCE.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let vars = Vars::from_environment()?;
    let (filter, format) = vars.log()?;
    telemetry::init(&filter, format)?;
    let config = EdgeConfig::from_vars(&vars)?;

    let shutdown = Shutdown::default();
    let grace = config.drain_grace;
    tokio::select! {
        result = edge::run(config, Arc::new(SystemClock), shutdown.clone()) => result,
        // Only fails: after the abort, the server ends by itself.
        result = async { shutdown.on_signals(grace).await?; std::future::pending().await } => result,
    }
}
