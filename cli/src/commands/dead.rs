//! `jetlane dead`: jobs that failed for good.

use clap::ArgGroup;
use jetlane_core::causes;
use jetlane_core::domain::JobId;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::client::Api;
use crate::output::{self, Format, one_line, shortened, table};
use crate::values;

/// The longest name and the longest error in a list.
const NAME_WIDTH: usize = 24;
const ERROR_WIDTH: usize = 40;

/// The arguments that say which dead letters.
const WHICH: [&str; 6] = ["jobs", "lane", "tool", "error", "submitted_by", "all"];

/// The arguments of `dead`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// List dead letters, newest job first
    List {
        #[command(flatten)]
        filter: Filter,
        /// At most so many, 500 at most
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = values::number(1..=500_usize))]
        limit: usize,
    },
    /// Show every attempt at a job, with its error
    Show {
        /// The job
        #[arg(value_name = "JOB_ID", value_parser = values::job_id)]
        job: JobId,
    },
    /// Give some, or those that a filter lets through, another chance
    Redrive(Many),
    /// Remove some, or those that a filter lets through, for good
    Purge(Many),
}

/// Which dead letters.
#[derive(Clone, Debug, Default, clap::Args, Serialize)]
pub(crate) struct Filter {
    /// Only of this lane
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    lane: Option<String>,
    /// Only of this tool
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<String>,
    /// Only those that failed so: transient, permanent, timeout, panic, expired, quarantined
    #[arg(long, value_name = "KIND")]
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Only by this submitter
    #[arg(long, value_name = "WHO")]
    #[serde(skip_serializing_if = "Option::is_none")]
    submitted_by: Option<String>,
}

/// Which dead letters an act is about: nobody who says nothing means all.
#[derive(Clone, Debug, clap::Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(WHICH))]
struct Many {
    /// These jobs
    #[arg(value_name = "JOB_ID", value_parser = values::job_id)]
    jobs: Vec<JobId>,
    /// All of them, as many at once as --limit says
    // Nobody reads it: it is there to be said, and the group asks for it.
    #[arg(long, conflicts_with_all = &WHICH[..WHICH.len() - 1])]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// At most so many, 500 at most
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = values::number(1..=500_usize))]
    limit: usize,
    /// Only say which they are
    #[arg(long)]
    dry_run: bool,
}

/// Prints dead letters, the attempts at one, or what was done to them.
///
/// # Errors
///
/// If the API is out of reach or refuses.
pub(crate) async fn run(args: Args, api: Api, format: Format) -> anyhow::Result<()> {
    match args.command {
        Command::List { filter, limit } => {
            let jobs = api.dead_letters(&json!(filter), limit).await?;
            print(format, &json!(jobs), || list(&jobs))
        }
        Command::Show { job } => {
            let attempts = api.attempts(job).await?;
            print(format, &json!(attempts), || told(&attempts))
        }
        Command::Redrive(many) => act(&api, "redrive", &many, format).await,
        Command::Purge(many) => act(&api, "purge", &many, format).await,
    }
}

/// `jetlane redrive`: gives some jobs another chance, and prints what came of it.
///
/// # Errors
///
/// If one of the jobs is no dead letter; the others are redriven nevertheless.
pub(crate) async fn redrive(args: Redrive, api: Api, format: Format) -> anyhow::Result<()> {
    let mut failures = Vec::new();
    for id in args.jobs {
        match (api.redrive(id).await, format) {
            (Ok(job), Format::Json) => output::print_json(&job)?,
            (Ok(_), Format::Text) => output::print(format_args!("{id} queued again"))?,
            (Err(error), _) => failures.push(format!("{id}: {}", causes(&error.into()))),
        }
    }
    anyhow::ensure!(failures.is_empty(), "{}", failures.join("; "));
    Ok(())
}

/// The arguments of `redrive`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Redrive {
    /// The jobs
    #[arg(value_name = "JOB_ID", required = true, value_parser = values::job_id)]
    jobs: Vec<JobId>,
}

async fn act(api: &Api, verb: &str, many: &Many, format: Format) -> anyhow::Result<()> {
    let mut body = match json!(many.filter) {
        Value::Object(body) => body,
        _ => Map::new(),
    };
    if !many.jobs.is_empty() {
        body.insert("job_ids".to_owned(), json!(many.jobs));
    }
    body.insert("limit".to_owned(), json!(many.limit));
    body.insert("dry_run".to_owned(), json!(many.dry_run));
    let answer = api.change_dead_letters(verb, &Value::Object(body)).await?;
    let ids = answer["jobs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ids: Vec<_> = ids.iter().filter_map(Value::as_str).collect();
    print(format, &answer, || {
        let done = match verb {
            _ if many.dry_run => format!("would {verb}"),
            "redrive" => "redriven".to_owned(),
            _ => format!("{verb}d"),
        };
        if ids.is_empty() { format!("{done} none") } else { format!("{done}\n{}", ids.join("\n")) }
    })?;
    let others: Vec<_> = many.jobs.iter().map(ToString::to_string).collect();
    let others: Vec<_> = others.iter().map(String::as_str).filter(|id| !ids.contains(id)).collect();
    anyhow::ensure!(
        others.is_empty(),
        "no dead letters that the filter lets through: {}",
        others.join(" ")
    );
    if ids.len() == many.limit && many.jobs.is_empty() && !many.dry_run {
        output::complain("there may be more: ask again");
    }
    Ok(())
}

fn print(format: Format, json: &Value, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    match format {
        Format::Json => output::print_json(json),
        Format::Text => Ok(output::print(text())?),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => one_line(text),
        other => other.to_string(),
    }
}

fn list(jobs: &[Value]) -> String {
    if jobs.is_empty() {
        return "no dead letters".to_owned();
    }
    let rows: Vec<_> = jobs
        .iter()
        .map(|job| {
            [
                text(&job["id"]),
                text(&job["lane"]),
                text(&job["attempt"]),
                text(&job["error"]["type"]),
                shortened(&text(&job["name"]), NAME_WIDTH),
                shortened(&text(&job["error"]["message"]), ERROR_WIDTH),
            ]
        })
        .collect();
    table(["ID", "LANE", "ATTEMPTS", "FAILED BY", "NAME", "ERROR"], &rows)
}

fn told(attempts: &[Value]) -> String {
    if attempts.is_empty() {
        return "no attempts".to_owned();
    }
    let rows: Vec<_> = attempts
        .iter()
        .map(|attempt| {
            [
                text(&attempt["attempt"]),
                text(&attempt["outcome"]),
                text(&attempt["started_at"]),
                text(&attempt["ended_at"]),
                text(&attempt["gpu_id"]),
                text(&attempt["error"]["message"]),
            ]
        })
        .collect();
    table(["ATTEMPT", "OUTCOME", "STARTED", "ENDED", "GPU", "ERROR"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_are_a_table() {
        let job = json!({
            "id": "019a0000-0000-7000-8000-000000000001", "lane": "batch", "attempt": 3,
            "name": "embed", "error": { "type": "transient", "message": "no\nluck" },
        });
        assert_eq!(
            list(&[job]),
            "\
ID                                    LANE   ATTEMPTS  FAILED BY  NAME   ERROR
019a0000-0000-7000-8000-000000000001  batch  3         transient  embed  no luck"
        );
        assert_eq!(list(&[]), "no dead letters");
    }

    #[test]
    fn a_running_attempt_has_no_end_yet() {
        let attempt = json!({
            "attempt": 1, "outcome": "running", "started_at": "2026-01-31T12:00:00.000000Z",
            "ended_at": null, "gpu_id": 2, "error": null,
        });
        assert_eq!(
            told(&[attempt]),
            "\
ATTEMPT  OUTCOME  STARTED                      ENDED  GPU  ERROR
1        running  2026-01-31T12:00:00.000000Z  -      2    -"
        );
    }
}
