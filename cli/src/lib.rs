//! The `jetlane` command.
//!
//! * `args` says what can be typed; `commands` has one file per command.
//! * `client` is the HTTP API from outside, with SSE.
//! * `stack` brings up everything on this machine: servers by devstack, and
//!   this same executable again as `edge` and as `worker`.
//! * `demo` runs a committed list of jobs and checks what it saw.
//! * `output` is how results are printed, `values` what arguments may be.
//! * `environment` is what variables and `.env` say to commands.
//!
//! A binary needs only to call [`main`]. Since processes are started as
//! `current_exe() edge` and `current_exe() worker`, it must pass its arguments on.

mod args;
mod client;
mod commands;
mod demo;
mod environment;
mod output;
mod signals;
mod stack;
mod values;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use clap::error::ErrorKind;
use jetlane_core::causes;
use tokio::runtime::{Builder, Runtime};

use crate::args::{Cli, Command};
use crate::values::BadArgument;

/// A request or a job is many small pieces of memory; of what an edge costs this saves a
/// fifth (docs/PERFORMANCE.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long a name lookup or another blocking call may hold up the exit.
const EXIT_LIMIT: Duration = Duration::from_secs(1);

/// Threads of a worker, for everything but the leases. What it does itself is
/// little; heavy work belongs into processes that tools start.
const WORKER_THREADS: usize = 2;

/// Runs the command that this process's arguments name.
///
/// Exits with 0 if it did what it was asked, with 2 if the arguments make no
/// sense, else with 1 and one line on standard error.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    // An error says that there is a provider already, and any will do.
    let _ = rustls::crypto::ring::default_provider().install_default();

    match start(cli) {
        Ok(code) => code,
        // Whoever read our output has seen enough, as in `jetlane jobs | head`.
        Err(error) if output::is_unread(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(format_args!("jetlane: {}", causes(&error)));
            if error.is::<BadArgument>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// Says what is wrong with the arguments: of a value in one line, of their form as clap does.
fn refuse(error: &clap::Error) -> ExitCode {
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        error.exit();
    }
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    output::complain(format_args!("jetlane: {}", line.trim_start_matches("error: ")));
    ExitCode::from(2)
}

fn start(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = runtime(&cli.command).context("cannot start the runtime")?;
    let result = runtime.block_on(commands::run(cli));
    runtime.shutdown_timeout(EXIT_LIMIT);
    result
}

fn runtime(command: &Command) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if let Command::Worker(_) = command {
        builder.worker_threads(WORKER_THREADS);
    }
    builder.enable_all().build()
}
