//! `jetlane jobs`: lists jobs, or shows one.

use chrono::{DateTime, Utc};
use jetlane_core::domain::{JobId, JobState, format_timestamp};
use serde_json::Value;

use crate::client::{Api, JobFilter, JobView};
use crate::output::{self, Format, one_line, shortened, table};
use crate::values;

/// The longest name in a list.
const NAME_WIDTH: usize = 32;

/// The arguments of `jobs`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Show this job only, with all that is known of it
    #[arg(value_name = "JOB_ID", value_parser = values::job_id,
        conflicts_with_all = ["state", "lane", "submitted_by", "limit"])]
    job: Option<JobId>,
    /// Only jobs in this state: scheduled, queued, running, completed, failed or cancelled
    #[arg(long, value_parser = values::state)]
    state: Option<JobState>,
    /// Only jobs of this lane
    #[arg(long)]
    lane: Option<String>,
    /// Only jobs that this one asked for
    #[arg(long, value_name = "WHO")]
    submitted_by: Option<String>,
    /// At most so many, the newest ones
    #[arg(long, value_name = "N", default_value_t = 50,
        value_parser = values::number(1..=1_000_000_usize))]
    limit: usize,
}

/// Prints jobs, newest first: a table, or a JSON array. One job by its id: its
/// fields, or the JSON object.
///
/// # Errors
///
/// If the API is out of reach or refuses to tell.
pub(crate) async fn run(args: Args, api: Api, format: Format) -> anyhow::Result<()> {
    if let Some(id) = args.job {
        return show(&api.job(id).await?, &api, format);
    }
    let Args { state, lane, submitted_by, limit, .. } = args;
    let jobs = api.jobs(&JobFilter { state, lane, submitted_by }, limit).await?;
    match format {
        Format::Json => output::print_json(&jobs),
        Format::Text => {
            let views: Vec<JobView> =
                jobs.iter().map(|job| api.view(job)).collect::<Result<_, _>>()?;
            Ok(output::print(list(&views))?)
        }
    }
}

fn show(job: &Value, api: &Api, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => output::print_json(job),
        Format::Text => Ok(output::print(details(&api.view(job)?, job))?),
    }
}

fn list(jobs: &[JobView]) -> String {
    if jobs.is_empty() {
        return "no jobs".to_owned();
    }
    let rows: Vec<_> = jobs
        .iter()
        .map(|job| {
            [
                job.id.to_string(),
                job.state.to_string(),
                job.lane.clone(),
                job.priority.to_string(),
                job.attempt.to_string(),
                shortened(&one_line(&job.name), NAME_WIDTH),
            ]
        })
        .collect();
    table(["ID", "STATE", "LANE", "PRIORITY", "ATTEMPT", "NAME"], &rows)
}

/// One field per line, without those that say nothing.
fn details(view: &JobView, job: &Value) -> String {
    let time = |at: Option<DateTime<Utc>>| at.map(format_timestamp);
    let json = |name: &str| match &job[name] {
        Value::Null => None,
        Value::Object(fields) if fields.is_empty() => None,
        value => Some(value.to_string()),
    };
    let fields = [
        ("id", Some(view.id.to_string())),
        ("name", Some(view.name.clone())),
        ("state", Some(view.state.to_string())),
        ("lane", Some(view.lane.clone())),
        ("priority", Some(view.priority.to_string())),
        ("attempt", Some(view.attempt.to_string())),
        ("failures", Some(format!("{} of at most {}", job["failures"], view.max_attempts))),
        ("submitted by", view.submitted_by.clone()),
        ("tool", job["tool"].as_str().map(str::to_owned)),
        ("params", json("params")),
        ("timeout", job["timeout"].as_f64().map(|seconds| format!("{seconds} s"))),
        ("retry", json("retry")),
        ("key", job["concurrency_key"].as_str().map(str::to_owned)),
        ("start by", job["start_by"].as_str().map(str::to_owned)),
        ("progress", view.progress.map(|share| format!("{:.0} %", share * 100.0))),
        ("worker", view.worker.clone()),
        ("gpu", view.gpu_id.map(|gpu| gpu.to_string())),
        ("created", time(Some(view.created_at))),
        ("due", time(Some(view.run_at).filter(|_| view.state == JobState::Scheduled))),
        ("started", time(view.started_at)),
        ("finished", time(view.finished_at)),
        ("result", json("result")),
        (
            // Of an attempt before the last.
            if view.state == JobState::Completed { "earlier error" } else { "error" },
            view.error.as_ref().map(|error| format!("{}: {}", error.kind, error.message)),
        ),
    ];
    let lines = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let lines: Vec<String> =
        lines.map(|(name, value)| format!("{name:<13} {}", one_line(&value))).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job() -> Value {
        json!({
            "id": "019a0000-0000-7000-8000-000000000001", "lane": "batch", "name": "embed",
            "tool": "simulate", "params": {"duration_ms": 5}, "priority": -2, "state": "failed",
            "attempt": 3, "failures": 3, "max_attempts": 3,
            "run_at": "2026-01-31T12:00:00.000000Z", "submitted_by": null, "worker": null,
            "gpu_id": null, "progress": 0.5, "result": null,
            "error": {"type": "transient", "message": "no\nluck"},
            "created_at": "2026-01-31T12:00:00.000000Z", "started_at": null, "finished_at": null,
            "event_seq": 8,
        })
    }

    fn view() -> JobView {
        serde_json::from_value(job()).unwrap()
    }

    #[test]
    fn a_list_is_a_table() {
        assert_eq!(
            list(&[view()]),
            "\
ID                                    STATE   LANE   PRIORITY  ATTEMPT  NAME
019a0000-0000-7000-8000-000000000001  failed  batch  -2        3        embed"
        );
        assert_eq!(list(&[]), "no jobs");
    }

    #[test]
    fn one_job_is_told_field_by_field() {
        assert_eq!(
            details(&view(), &job()),
            "\
id            019a0000-0000-7000-8000-000000000001
name          embed
state         failed
lane          batch
priority      -2
attempt       3
failures      3 of at most 3
tool          simulate
params        {\"duration_ms\":5}
progress      50 %
created       2026-01-31T12:00:00.000000Z
error         transient: no luck"
        );
    }
}
