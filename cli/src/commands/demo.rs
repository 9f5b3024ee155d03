//! `jetlane demo`: everything once, before your eyes.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use crate::demo;
use crate::output::Format;
use crate::values;

/// The arguments of `demo`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// How many jobs to run, 1 to 10000; as many as the list has if not given
    #[arg(long, value_name = "N", value_parser = values::number(1..=MOST_JOBS))]
    jobs: Option<usize>,
}

/// More take longer than anybody watches, and all of them are kept in memory.
const MOST_JOBS: usize = 10_000;

/// Runs the demo. Fails if a job was lost or its events were not what they
/// should be.
///
/// # Errors
///
/// If something cannot be brought up, or ends too early.
pub(crate) async fn run(args: &Args, format: Format) -> anyhow::Result<ExitCode> {
    demo::run(args.jobs.and_then(NonZeroUsize::new), format).await
}
