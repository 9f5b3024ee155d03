//! `loadtest`: how fast Jetlane is, beside what the same durable steps cost with bare clients.
//!
//! * `stack` brings up what is measured: servers, and this same program again as the product.
//! * `pace` says when jobs are due, whoever else is waited for; `http` submits them, `feed` watches.
//! * `floor` is bare clients, `product` is Jetlane; `measure` has both take turns.
//! * `grow` measures how that changes with how much there is, from [`past`] on; `lambda` submits
//!   through functions instead; `load` has goose users do all sorts of things at a rate, here or
//!   elsewhere.
//! * `latency`, `hops` and `usage` are what is measured; `report`, `terminal`, `page` and `chart` how it
//!   is told; `budgets` says what may not be exceeded, `compare` how two runs differ.
//!
//! A binary needs only to call [`main`], and must pass its arguments on.

mod args;
mod budgets;
mod chart;
mod compare;
mod feed;
mod floor;
mod grow;
mod hops;
mod http;
mod lambda;
mod latency;
mod load;
mod measure;
mod pace;
mod page;
pub mod past;
mod product;
mod progress;
mod report;
mod stack;
mod terminal;
mod usage;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Parser;
use jetlane_core::causes;
use jetlane_core::clock::{Clock, SystemClock};
use jetlane_core::domain::format_timestamp;

use crate::args::{Cli, Command, CompareArgs, typed};
use crate::report::{Machine, Report};

pub use feed::{Feed, Heard, Told};
pub use http::Connection;
pub use stack::{Fleet, Parts, Stack};
pub use usage::Usage;

/// The exit status of a run that exceeds a budget.
const NOT_GOOD_ENOUGH: u8 = 3;

/// Runs the command that this process's arguments name. It is the product too: `loadtest edge` and
/// `loadtest worker` are what it starts and measures.
///
/// Exits with 0 if all could be measured and no budget was exceeded, with 2 if the arguments make
/// no sense, with 3 if a budget was exceeded or a run is worse than the one before, else with 1; says
/// why on standard error.
#[must_use]
pub fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|role| role == "edge" || role == "worker") {
        return jetlane::main();
    }
    let cli = Cli::parse();
    match run(&cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NOT_GOOD_ENOUGH),
        Err(error) => {
            eprintln!("loadtest: {}", causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// Does what was asked for; false if what was found is not good enough.
fn run(cli: &Cli) -> anyhow::Result<bool> {
    if let Some(Command::Compare(args)) = &cli.command {
        return compare(args);
    }
    let budgets = cli.budgets()?;
    let mut report = Report {
        command: typed(std::env::args().skip(1)),
        started_at: format_timestamp(SystemClock.now()),
        machine: Machine::this(),
        ..Report::default()
    };
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        match &cli.command {
            None => Box::pin(load::load(&cli.load, &mut report)).await,
            Some(Command::Floor(args)) => measure::floor(args, &mut report).await,
            Some(Command::Pace(args)) => measure::pace(args, &mut report).await,
            Some(Command::Saturate(args)) => measure::saturate(args, &mut report).await,
            Some(Command::Lambda(args)) => lambda::lambda(args, &mut report).await,
            Some(Command::Grow(args)) => grow::grow(args, &mut report).await,
            Some(Command::Compare(_)) => unreachable!("needs no measuring"),
        }
    })?;
    if let Some(folder) = &cli.load.folder {
        load::keep(folder, &report)?;
    }
    if cli.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", terminal::text(&report));
    }
    let exceeded = budgets.exceeded(&report);
    for budget in &exceeded {
        eprintln!("loadtest: over budget: {budget}");
    }
    Ok(exceeded.is_empty())
}

fn compare(args: &CompareArgs) -> anyhow::Result<bool> {
    let read = |file: &Path| -> anyhow::Result<Report> {
        let name = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        serde_json::from_str(&text).with_context(|| format!("{name} is no report"))
    };
    let found = compare::compare(&read(&args.before)?, &read(&args.after)?);
    ensure!(!found.is_empty(), "the reports have no figure in common");
    print!("{}", compare::text(&found, args.tolerance / 100.0));
    Ok(!found.iter().any(|found| found.is_worse(args.tolerance / 100.0)))
}
