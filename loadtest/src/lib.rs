//! `loadtest`: how fast Jetlane is, beside what the same durable steps cost with bare clients.
//!
//! * `stack` brings up what is measured: servers, and this same program again as the product.
//! * `pace` says when jobs are due, whoever else is waited for; `http` submits them, `feed` watches.
//! * `floor` is bare clients, `product` is Jetlane; `measure` has both take turns.
//! * `latency` and `usage` are what is measured, `report` and `terminal` how it is told.
//!
//! A binary needs only to call [`main`], and must pass its arguments on.

mod args;
mod feed;
mod floor;
mod http;
mod latency;
mod measure;
mod pace;
mod product;
mod report;
mod stack;
mod terminal;
mod usage;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use jetlane_core::causes;
use jetlane_core::clock::{Clock, SystemClock};
use jetlane_core::domain::format_timestamp;

use crate::args::{Cli, Command};
use crate::report::{Machine, Report};

pub use feed::{Feed, Heard, Told};
pub use http::Connection;
pub use stack::{Fleet, Parts, Stack};
pub use usage::Usage;

/// Runs the command that this process's arguments name. It is the product too: `loadtest edge` and
/// `loadtest worker` are what it starts and measures.
///
/// Exits with 0 if all could be measured, with 2 if the arguments make no sense, else with 1 and
/// one line on standard error.
#[must_use]
pub fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|role| role == "edge" || role == "worker") {
        return jetlane::main();
    }
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadtest: {}", causes(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let mut report = Report {
        command: std::env::args().skip(1).collect(),
        started_at: format_timestamp(SystemClock.now()),
        machine: Machine::this(),
        ..Report::default()
    };
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        match &cli.command {
            Command::Floor(args) => measure::floor(args, &mut report).await,
            Command::Pace(args) => measure::pace(args, &mut report).await,
            Command::Saturate(args) => measure::saturate(args, &mut report).await,
        }
    })?;
    if cli.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", terminal::text(&report));
    }
    Ok(())
}
