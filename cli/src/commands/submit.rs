//! `jetlane submit`: submits a job.

use serde_json::{Map, Value};

use super::watch;
use crate::client::{Api, NewJob};
use crate::output::{self, Format};
use crate::values;

/// The arguments of `submit`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// What people call the job
    name: String,
    /// What the tool is given: a JSON object [default: {}]
    #[arg(long, value_name = "JSON", value_parser = values::object)]
    params: Option<Map<String, Value>>,
    /// Higher runs first [default: 0]
    #[arg(long, allow_negative_numbers = true, value_parser = values::number(i32::MIN..=i32::MAX))]
    priority: Option<i32>,
    /// The queue it waits in [default: default]; `jetlane lanes` shows them
    #[arg(long)]
    lane: Option<String>,
    /// What carries it out [default: simulate]
    #[arg(long)]
    tool: Option<String>,
    /// Who asks for it
    #[arg(long, value_name = "WHO")]
    submitted_by: Option<String>,
    /// Not to be started before; RFC 3339, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    run_at: Option<String>,
    /// How long one attempt may take, up to 7 days [default: no limit]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = values::seconds)]
    timeout: Option<f64>,
    /// How many failures make it a dead letter, 1 to 100 [default: what its lane says, or 3]
    #[arg(long, value_name = "N", value_parser = values::number(1..=100_u32))]
    max_attempts: Option<u32>,
    #[arg(
        long,
        help = r#"What follows a failed attempt, such as '{"backoff": 2, "retry_on": ["timeout"]}'"#,
        value_name = "JSON",
        value_parser = values::object,
    )]
    retry: Option<Map<String, Value>>,
    /// Fails unless it was started by then; RFC 3339
    #[arg(long, value_name = "TIME")]
    start_by: Option<String>,
    /// Jobs with the same key run one at a time, or as its limit says
    #[arg(long, value_name = "KEY")]
    concurrency_key: Option<String>,
    /// Makes it safe to ask again: the same key is the same job, for 7 days
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Follow the job until it has ended, and fail unless it completes
    #[arg(long)]
    watch: bool,
}

/// Submits the job and prints it; with `--watch`, prints its events instead.
///
/// # Errors
///
/// If the API is out of reach or refuses the job; with `--watch`, also if the
/// job does not complete.
pub(crate) async fn run(args: Args, api: Api, format: Format) -> anyhow::Result<()> {
    let follow = args.watch;
    let key = args.idempotency_key.clone();
    let job = api.submit(&args.into(), key.as_deref()).await?;
    let view = api.view(&job)?;

    match format {
        _ if follow => return watch::follow(api, view.id, format).await,
        Format::Json => output::print_json(&job)?,
        Format::Text => {
            let state = view.state;
            output::print(format_args!("{} {state} in lane {}", view.id, view.lane))?;
        }
    }
    Ok(())
}

impl From<Args> for NewJob {
    fn from(args: Args) -> Self {
        Self {
            name: args.name,
            params: args.params.unwrap_or_default(),
            priority: args.priority,
            lane: args.lane,
            tool: args.tool,
            submitted_by: args.submitted_by,
            run_at: args.run_at,
            timeout: args.timeout,
            max_attempts: args.max_attempts,
            retry: args.retry,
            start_by: args.start_by,
            concurrency_key: args.concurrency_key,
        }
    }
}
