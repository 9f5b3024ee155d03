//! The list of jobs, and how it becomes a demo.

use std::collections::HashSet;
use std::num::NonZeroUsize;

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::client::NewJob;

/// The committed list.
const JOBS: &str = include_str!("../../demo/jobs.json");

/// At least so many jobs are submitted one at a time, if there are as many.
const ONE_AT_A_TIME: usize = 56;

/// One job of the list.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DemoJob {
    pub(super) name: String,
    pub(super) lane: String,
    priority: i32,
    submitted_by: String,
    params: Map<String, Value>,
    /// The demo asks for its end as soon as it has seen it run.
    #[serde(default)]
    pub(super) cancel_when_running: bool,
}

/// What is submitted, and when.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Script {
    /// One of each lane, before anything is measured: connections open, and
    /// lanes come into being once a worker serves them.
    pub(super) warm_up: Vec<DemoJob>,
    /// Each once the one before it has been seen running.
    pub(super) one_at_a_time: Vec<DemoJob>,
    /// All at once.
    pub(super) backlog: Vec<DemoJob>,
}

/// The list.
///
/// # Errors
///
/// If it is no such list; a test says that it is.
pub(super) fn jobs() -> anyhow::Result<Vec<DemoJob>> {
    serde_json::from_str(JOBS).context("cannot read the demo's list of jobs")
}

/// `count` jobs of `list`, which is gone through again if it is shorter, or all of it.
pub(super) fn script(list: &[DemoJob], count: Option<NonZeroUsize>) -> Script {
    let count = count.map_or(list.len(), NonZeroUsize::get);
    let jobs = list.iter().cycle().take(count).cloned();

    let mut script = Script::default();
    let mut lanes = HashSet::new();
    let mut rest = Vec::new();
    for job in jobs {
        let is_warm_up = !job.cancel_when_running && lanes.insert(job.lane.clone());
        if is_warm_up { script.warm_up.push(job) } else { rest.push(job) }
    }
    let share = (rest.len() * 3 / 5).max(ONE_AT_A_TIME).min(rest.len());
    script.backlog = rest.split_off(share);
    script.one_at_a_time = rest;
    script
}

impl Script {
    /// How many jobs it has.
    pub(super) fn len(&self) -> usize {
        self.warm_up.len() + self.one_at_a_time.len() + self.backlog.len()
    }
}

impl From<&DemoJob> for NewJob {
    fn from(job: &DemoJob) -> Self {
        Self {
            name: job.name.clone(),
            lane: Some(job.lane.clone()),
            priority: Some(job.priority),
            submitted_by: Some(job.submitted_by.clone()),
            params: job.params.clone(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(count: usize) -> Script {
        script(&jobs().unwrap(), NonZeroUsize::new(count))
    }

    #[test]
    fn the_list_has_something_of_everything() {
        let jobs = jobs().unwrap();
        let count = |is: &dyn Fn(&DemoJob) -> bool| jobs.iter().filter(|job| is(job)).count();
        let distinct = |of: &dyn Fn(&DemoJob) -> String| {
            jobs.iter().map(of).collect::<HashSet<String>>().len()
        };

        assert!(jobs.len() >= 60);
        assert_eq!(distinct(&|job| job.lane.clone()), 2);
        assert!(distinct(&|job| job.name.clone()) >= 20);
        assert!(distinct(&|job| job.priority.to_string()) >= 4);
        assert!(distinct(&|job| format!("{:?}", job.params)) >= 10);
        assert!(count(&|job| job.params.get("fail").is_some_and(Value::is_number)) >= 4);
        assert!(count(&|job| job.params.get("fail").is_some_and(Value::is_string)) >= 1);
        assert_eq!(count(&|job| job.cancel_when_running), 1);
    }

    #[test]
    fn only_the_job_to_cancel_takes_long() {
        for job in jobs().unwrap() {
            let duration = job.params["duration_ms"].as_u64().unwrap();
            assert_eq!(duration > 1_500, job.cancel_when_running, "{job:?}");
        }
    }

    #[test]
    fn by_default_fifty_jobs_are_measured_and_a_backlog_is_left() {
        let script = script(&jobs().unwrap(), None);
        assert_eq!(script.len(), jobs().unwrap().len());
        assert_eq!(script.warm_up.len(), 2);
        assert!(script.one_at_a_time.len() >= 50);
        assert!(script.backlog.len() > 16);
    }

    #[test]
    fn any_number_of_jobs_can_be_asked_for() {
        for count in [1, 2, 50, 96, 97, 500] {
            assert_eq!(with(count).len(), count);
        }
        assert_eq!(with(1).warm_up.len(), 1);
        assert_eq!(with(500).one_at_a_time.len(), 298);
    }
}
