//! Temporary: until the CLI is there.

use std::sync::Arc;

use jetlane_core::clock::SystemClock;
use jetlane_core::config::{EdgeConfig, Vars, WorkerConfig};
use jetlane_core::shutdown::Shutdown;
use jetlane_core::telemetry;
use jetlane_functions::edge;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match run().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let vars = Vars::from_environment()?;
    let (filter, format) = vars.log()?;
    telemetry::init(&filter, format)?;
    let shutdown = Shutdown::default();
    match std::env::args().nth(1).as_deref() {
        Some("edge") => {
            let config = EdgeConfig::from_vars(&vars)?;
            let grace = config.drain_grace;
            tokio::select! {
                result = edge::run(config, Arc::new(SystemClock), shutdown.clone()) => result,
                result = async { shutdown.on_signals(grace).await?; std::future::pending().await } => result,
            }
        }
        Some("worker") => {
            let config = WorkerConfig::from_vars(&vars)?;
            let grace = config.drain_grace;
            tokio::select! {
                result = jetlane_worker::run(config, Arc::new(SystemClock), shutdown.clone()) => result,
                result = async { shutdown.on_signals(grace).await?; std::future::pending().await } => result,
            }
        }
        _ => {
            jetlane_core::store::migrate(vars.text("DATABASE_URL").unwrap_or_default()).await?;
            Ok(())
        }
    }
}
