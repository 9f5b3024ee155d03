//! The fault campaign: real servers and processes, open-loop load, watchers,
//! faults by a seeded schedule, and then a checker that believes none of them.
//!
//! ```text
//! cargo build --workspace --bins
//! target/debug/campaign --seconds 120 --seed 7
//! ```
//!
//! * `world` brings up servers and processes, each process behind proxies of
//!   its own.
//! * `load` submits jobs at a set rate; `watching` follows events and resumes.
//! * `faults` has what can go wrong, and the schedule, a pure function of the
//!   seed.
//! * `history` keeps what clients saw, in memory and in a file of JSON lines.
//! * `mutants` are products that are broken on purpose, to be caught.
//! * `checker` compares that with the ledger and with itself: the invariants
//!   are named by [`violations::Invariant`].
#![expect(clippy::unwrap_used, reason = "a poisoned lock means that a task of ours has panicked")]

mod args;
mod campaign;
mod chance;
mod checker;
mod faults;
mod history;
mod keys;
mod load;
mod mutants;
mod report;
mod violations;
mod watching;
mod world;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::campaign::Campaign;

fn main() -> ExitCode {
    let args = Args::parse();
    // An error says that there is a provider already, and any will do.
    let _ = rustls::crypto::ring::default_provider().install_default();

    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    eprintln!("campaign: seed {seed}");
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let report = runtime.block_on(Campaign::carry_out(&args, seed));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match report {
        Ok(report) => {
            report.print(args.json);
            if report.is_as_it_must_be() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("campaign: {error:#}");
    ExitCode::from(2)
}
