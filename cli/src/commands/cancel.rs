//! `jetlane cancel`: asks for the end of jobs.

use anyhow::bail;
use jetlane_core::causes;
use jetlane_core::domain::JobId;

use crate::client::{Api, CancelAnswer};
use crate::output::{self, Format};
use crate::values;

/// The arguments of `cancel`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The jobs
    #[arg(value_name = "JOB_ID", required = true, value_parser = values::job_id)]
    jobs: Vec<JobId>,
}

/// Asks for the end of each job, and prints what came of it: a line, or the
/// job's JSON.
///
/// # Errors
///
/// If one of the jobs cannot be cancelled; the others are nevertheless.
pub(crate) async fn run(args: Args, api: Api, format: Format) -> anyhow::Result<()> {
    let mut failures = Vec::new();
    for id in args.jobs {
        match (api.cancel(id).await, format) {
            (Ok((_, job)), Format::Json) => output::print_json(&job)?,
            (Ok((CancelAnswer::Cancelled, _)), Format::Text) => {
                output::print(format_args!("{id} cancelled"))?;
            }
            (Ok((CancelAnswer::Stopping, _)), Format::Text) => {
                output::print(format_args!("{id} is running and will stop"))?;
            }
            (Err(error), _) => failures.push(format!("{id}: {}", causes(&error.into()))),
        }
    }
    if !failures.is_empty() {
        bail!("{}", failures.join("; "));
    }
    Ok(())
}
