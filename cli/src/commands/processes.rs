//! `jetlane edge` and `jetlane worker`: the long-lived processes.
//!
//! `demo` and `dev` start them from this same executable, so that one file is
//! all there is to install.

use std::io::stdin;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jetlane_core::clock::SystemClock;
use jetlane_core::config::{EdgeConfig, Vars, WorkerConfig};
use jetlane_core::shutdown::Shutdown;
use jetlane_core::telemetry::{self, LogFormat};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::output::Format;

/// How long a process may take to end once its parent, and soon the servers, have died.
const ORPHAN_LIMIT: Duration = Duration::from_secs(2);

/// The arguments of `edge` and of `worker`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// Stop at once when standard input, a pipe, is closed: when the parent has died, however
    #[arg(long)]
    exit_with_parent: bool,
}

/// Serves the HTTP API until a signal, or its parent's death, ends it.
///
/// # Errors
///
/// If the environment does not say enough, or the server cannot start.
pub(crate) async fn edge(args: Args, format: Format) -> anyhow::Result<()> {
    let vars = environment(format)?;
    let config = EdgeConfig::from_vars(&vars)?;
    let (shutdown, _listening) = stopped_from_outside(args, config.drain_grace)?;
    jetlane_functions::edge::run(config, Arc::new(SystemClock), shutdown).await
}

/// Runs jobs until a signal, or its parent's death, ends it.
///
/// # Errors
///
/// If the environment does not say enough, or the worker cannot start.
pub(crate) async fn worker(args: Args, format: Format) -> anyhow::Result<()> {
    let vars = environment(format)?;
    let config = WorkerConfig::from_vars(&vars)?;
    let (shutdown, _listening) = stopped_from_outside(args, config.drain_grace)?;
    jetlane_worker::run(config, Arc::new(SystemClock), shutdown).await
}

/// Reads the environment, and has logs written as it says, or as JSON if that was typed.
fn environment(typed: Format) -> anyhow::Result<Vars> {
    let vars = Vars::from_environment()?;
    let (filter, format) = vars.log()?;
    let format = if typed == Format::Json { LogFormat::Json } else { format };
    telemetry::init(&filter, format).context("LOG is no filter")?;
    Ok(vars)
}

/// A shutdown that signals, and the parent's death if asked for, set off for
/// as long as the tasks that come with it are kept.
fn stopped_from_outside(args: Args, grace: Duration) -> anyhow::Result<(Shutdown, JoinSet<()>)> {
    let shutdown = Shutdown::default();
    let mut listening = JoinSet::new();

    let heard = shutdown.clone();
    listening.spawn(async move {
        if let Err(error) = heard.on_signals(grace).await {
            tracing::error!(%error, "cannot hear signals; only kill -9 stops this process");
        }
    });
    if args.exit_with_parent {
        let lifeline = stdin().as_fd().try_clone_to_owned()?;
        let lifeline = pipe::Receiver::from_owned_fd(lifeline)
            .context("--exit-with-parent: standard input is no pipe")?;
        listening.spawn(end_with(lifeline, shutdown.clone()));
    }
    Ok((shutdown, listening))
}

/// Aborts when the other end of the pipe is closed. Not a drain: the servers
/// that a drain needs are about to go as well.
async fn end_with(mut lifeline: pipe::Receiver, shutdown: Shutdown) {
    let mut ignored = [0; 64];
    while lifeline.read(&mut ignored).await.is_ok_and(|length| length > 0) {}

    tracing::warn!("the parent has died; stopping");
    shutdown.drain.cancel();
    shutdown.abort.cancel();
    sleep(ORPHAN_LIMIT).await;
    std::process::exit(1);
}
