//! `jetlane watch`: follows events.

use std::collections::HashMap;

use jetlane_core::domain::{JobId, JobState};

use crate::client::{Api, Feed, FeedFilter, JobEvent, Repeats, Sighting};
use crate::output::{self, Format, one_line, shortened};
use crate::values;

/// The arguments of `watch`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these jobs: from their first event on, until all of them have ended
    #[arg(value_name = "JOB_ID", value_parser = values::job_id)]
    jobs: Vec<JobId>,
    /// Only this lane
    #[arg(long, conflicts_with = "jobs")]
    lane: Option<String>,
    /// Only events after which a job is in this state
    #[arg(long, conflicts_with = "jobs", value_parser = values::state)]
    state: Option<JobState>,
    /// What has happened before, too, as far back as the ledger knows
    #[arg(long)]
    from_start: bool,
}

/// Prints events as they happen: one line each, with `--json` the event's JSON.
/// A lost connection is made again, and goes on where it broke off.
///
/// # Errors
///
/// If the API is out of reach at first, or refuses to tell.
pub(crate) async fn run(args: Args, api: Api, format: Format) -> anyhow::Result<()> {
    let Args { jobs, lane, state, from_start } = args;
    let from_start = from_start || !jobs.is_empty();
    let open = Open::of(&api, &jobs).await?;
    let feed = Feed::new(api, FeedFilter { jobs, lane, state, from_start });
    tell(feed, open, format).await
}

/// Prints the events of a job until it has ended.
///
/// # Errors
///
/// As [`run`]; also if the job did not complete, so that a script can tell.
pub(super) async fn follow(api: Api, job: JobId, format: Format) -> anyhow::Result<()> {
    let args = Args { jobs: vec![job], lane: None, state: None, from_start: true };
    run(args, api.clone(), format).await?;
    let state = api.view(&api.job(job).await?)?.state;
    anyhow::ensure!(state == JobState::Completed, "the job is {state}");
    Ok(())
}

async fn tell(mut feed: Feed, mut open: Open, format: Format) -> anyhow::Result<()> {
    let mut repeats = Repeats::default();
    while !open.is_over() {
        match feed.next().await? {
            Sighting::Connected => {}
            Sighting::Lost(reason) => {
                output::complain(format_args!("connection lost ({reason}); trying again"));
            }
            Sighting::Reset => {
                output::complain("some events are lost: the ledger has forgotten them");
            }
            Sighting::Event { event, json, .. } => {
                if repeats.is_new(event.job_id, event.seq) {
                    match format {
                        Format::Json => output::print(json)?,
                        Format::Text => output::print(line(&event))?,
                    }
                }
                open.close(&event);
            }
        }
    }
    Ok(())
}

/// The jobs whose end is awaited, each with the seq of its latest event when
/// the watch began: an end before that was undone by a redrive.
#[derive(Debug)]
enum Open {
    /// No job was named: there is no end.
    Endless,
    Jobs(HashMap<JobId, i32>),
}

impl Open {
    async fn of(api: &Api, jobs: &[JobId]) -> anyhow::Result<Self> {
        if jobs.is_empty() {
            return Ok(Self::Endless);
        }
        let mut open = HashMap::new();
        for job in jobs {
            let view = api.view(&api.job(*job).await?)?;
            open.insert(*job, view.event_seq);
        }
        Ok(Self::Jobs(open))
    }

    fn close(&mut self, event: &JobEvent) {
        let Self::Jobs(open) = self else { return };
        let begun_at = open.get(&event.job_id);
        if event.kind.is_last() && begun_at.is_some_and(|seq| event.seq >= *seq) {
            open.remove(&event.job_id);
        }
    }

    fn is_over(&self) -> bool {
        matches!(self, Self::Jobs(open) if open.is_empty())
    }
}

/// An event for people.
fn line(event: &JobEvent) -> String {
    let time = event.timestamp.format("%H:%M:%S%.3f");
    let name = event.name.as_deref().map(|name| shortened(&one_line(name), 32));
    let facts = [
        name,
        (event.attempt > 0).then(|| format!("attempt {}", event.attempt)),
        event.gpu_id.map(|gpu| format!("gpu {gpu}")),
        event.execution_time.map(|seconds| format!("{seconds:.3} s")),
        event.error.as_ref().map(|error| one_line(&format!("{}: {}", error.kind, error.message))),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    let line = format!(
        "{time}  {}  {:<16}  {:<10}  {}",
        event.job_id,
        event.kind,
        event.lane,
        facts.join(", ")
    );
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(seq: i32, kind: &str, state: &str) -> JobEvent {
        serde_json::from_value(json!({
            "job_id": "019a0000-0000-7000-8000-000000000001", "seq": seq, "kind": kind,
            "state": state, "attempt": 1, "timestamp": "2026-01-31T12:00:00.123456Z",
            "lane": "gpu", "name": "embed\u{1b}[2J", "gpu_id": 3, "execution_time": 0.25,
        }))
        .unwrap()
    }

    #[test]
    fn an_event_is_one_line() {
        assert_eq!(
            line(&event(3, "completed", "completed")),
            "12:00:00.123  019a0000-0000-7000-8000-000000000001  completed         gpu         \
             embed [2J, attempt 1, gpu 3, 0.250 s"
        );
    }

    #[test]
    fn a_watch_ends_at_the_end_that_counts() {
        let failed_before_its_redrive = event(3, "failed", "failed");
        let completed = event(6, "completed", "completed");
        let mut open = Open::Jobs(HashMap::from([(completed.job_id, 4)]));

        open.close(&failed_before_its_redrive);
        assert!(!open.is_over());
        open.close(&completed);
        assert!(open.is_over());
    }

    #[test]
    fn a_watch_of_everything_does_not_end() {
        let mut open = Open::Endless;
        open.close(&event(3, "failed", "failed"));
        assert!(!open.is_over());
    }
}
