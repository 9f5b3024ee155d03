//! `jetlane demo`: everything once, before your eyes.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use crate::demo;
use crate::output::Format;

/// The arguments of `demo`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// How many jobs to run; as many as the list has if not given
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

/// Runs the demo. Fails if a job was lost or its events were not what they
/// should be.
///
/// # Errors
///
/// If something cannot be brought up, or ends too early.
pub(crate) async fn run(args: &Args, format: Format) -> anyhow::Result<ExitCode> {
    demo::run(args.jobs, format).await
}
