//! What clients did and saw, as they saw it: all that the checker believes.
//!
//! In memory to be checked, and in a file of JSON lines to be read by a person
//! who looks for the cause of a violation.

mod journal;
mod recovery;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::load::Plan;
use crate::violations::Violation;
use journal::Journal;
pub(crate) use journal::Phase;
use recovery::Recovery;
pub(crate) use recovery::{Awaited, Recovered};

/// What became of a submit, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not answered yet.
    Open,
    /// Answered with the job.
    Accepted,
    /// Certainly not carried out.
    NotDone,
    /// It may or may not have been carried out.
    Unknown,
}

/// What became of a cancel, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancel {
    NotAsked,
    /// Asked, but no answer told anything.
    Unknown,
    /// Answered that the job runs and will be cancelled.
    Promised,
    /// Answered that the job is cancelled.
    Done,
    /// Answered that the job had ended otherwise.
    TooLate,
}

/// What became of a change of a waiting job, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Not asked, or answered that it came too late.
    No,
    /// Asked, but no answer told anything.
    Unknown,
    /// Answered with success.
    Done,
}

/// What became of another chance for a failed job, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redrive {
    NotAsked,
    /// Asked, but no answer told anything.
    Unknown,
    /// Answered with success.
    Done,
}

/// A job that a client wanted, and what it knows of it.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    pub(crate) plan: Plan,
    pub(crate) standing: Standing,
    /// Every id that an answer has given; one, if all is well.
    pub(crate) ids: Vec<Uuid>,
    pub(crate) cancel: Cancel,
    pub(crate) redrive: Redrive,
    pub(crate) changed: Changed,
}

/// All that clients know.
#[derive(Debug)]
pub(crate) struct History {
    journal: Journal,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    submissions: Vec<Submission>,
    by_job: HashMap<Uuid, u32>,
    /// With the worker, if one had it.
    ended: HashMap<Uuid, Option<String>>,
    recovery: Option<Recovery>,
    /// Something is made to go wrong.
    is_stormy: bool,
    /// How often something was.
    storms: u32,
    /// The numbers of those that were to be accepted together or not at all.
    wholes: Vec<Vec<u32>>,
    blamed: Vec<Violation>,
}

impl History {
    /// An empty history that is written to `file`.
    ///
    /// # Errors
    ///
    /// If the file cannot be made.
    pub(crate) fn new(file: &Path) -> std::io::Result<Self> {
        let journal = Journal::create(file)?;
        Ok(Self { journal, state: Mutex::default(), changed: Notify::new() })
    }

    /// Writes down one thing that a client did or saw.
    pub(crate) fn note(&self, what: &'static str, phase: Phase, n: Option<u32>, more: Value) {
        self.journal.write(what, phase, n, more);
    }

    /// Something that a client saw and that must not be.
    pub(crate) fn blame(&self, violation: Violation) {
        self.note("violation", Phase::Ok, None, json!({ "what": violation.to_string() }));
        self.state.lock().unwrap().blamed.push(violation);
    }

    /// What clients saw that must not be.
    pub(crate) fn blamed(&self) -> Vec<Violation> {
        self.state.lock().unwrap().blamed.clone()
    }

    /// A new submit, planned by its number.
    pub(crate) fn begin(&self, plan: impl FnOnce(u32) -> Plan) -> Plan {
        let mut state = self.state.lock().unwrap();
        let n = u32::try_from(state.submissions.len()).expect("a campaign has fewer jobs");
        let plan = plan(n);
        state.submissions.push(Submission {
            plan: plan.clone(),
            standing: Standing::Open,
            ids: Vec::new(),
            cancel: Cancel::NotAsked,
            redrive: Redrive::NotAsked,
            changed: Changed::No,
        });
        plan
    }

    /// An edge has answered the submit with the job. `began` is when this try
    /// of it was sent.
    pub(crate) fn accepted(&self, n: u32, job: Uuid, began: Instant, edge: &str) {
        let mut state = self.state.lock().unwrap();
        let state = &mut *state;
        let submission = &mut state.submissions[n as usize];
        submission.standing = Standing::Accepted;
        if !submission.ids.contains(&job) {
            submission.ids.push(job);
        }
        state.by_job.insert(job, n);
        if let Some(recovery) = &mut state.recovery {
            recovery.accepted(job, began, edge);
            // Its end may have been read before the answer.
            if let Some(worker) = state.ended.get(&job) {
                recovery.ended(job, worker.as_deref());
            }
            self.changed.notify_waiters();
        }
    }

    /// A try of the submit was given up. What is known of another stays known.
    pub(crate) fn gave_up(&self, n: u32, standing: Standing) {
        let mut state = self.state.lock().unwrap();
        let known = &mut state.submissions[n as usize].standing;
        if *known == Standing::Open || (*known, standing) == (Standing::NotDone, Standing::Unknown)
        {
            *known = standing;
        }
    }

    /// The plan of this number, if there is one.
    pub(crate) fn plan(&self, n: u32) -> Option<Plan> {
        let state = self.state.lock().unwrap();
        Some(state.submissions.get(n as usize)?.plan.clone())
    }

    /// What became of a cancel.
    pub(crate) fn cancelled(&self, n: u32, cancel: Cancel) {
        self.state.lock().unwrap().submissions[n as usize].cancel = cancel;
    }

    /// What became of another chance.
    pub(crate) fn redriven(&self, n: u32, redrive: Redrive) {
        self.state.lock().unwrap().submissions[n as usize].redrive = redrive;
    }

    /// What became of a change.
    pub(crate) fn changed(&self, n: u32, changed: Changed) {
        self.state.lock().unwrap().submissions[n as usize].changed = changed;
    }

    /// These are submitted to be accepted together or not at all.
    pub(crate) fn begin_whole(&self, numbers: Vec<u32>) {
        self.state.lock().unwrap().wholes.push(numbers);
    }

    /// Those that were to be accepted together or not at all.
    pub(crate) fn wholes(&self) -> Vec<Vec<u32>> {
        self.state.lock().unwrap().wholes.clone()
    }

    /// Something is about to go wrong.
    pub(crate) fn breaks(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_stormy = true;
        state.storms += 1;
    }

    /// If nothing is wrong, and all has recovered from what was: after how many
    /// faults. Twice the same says that it was calm all the time between.
    pub(crate) fn calm_since(&self) -> Option<u32> {
        let state = self.state.lock().unwrap();
        let is_whole = |recovery: &Recovery| recovery.so_far().is_whole();
        let is_calm = !state.is_stormy && state.recovery.as_ref().is_none_or(is_whole);
        is_calm.then_some(state.storms)
    }

    /// A watcher has read of a job's end.
    pub(crate) fn ended(&self, job: Uuid, worker: Option<&str>) {
        let mut state = self.state.lock().unwrap();
        let state = &mut *state;
        if state.ended.contains_key(&job) {
            return;
        }
        state.ended.insert(job, worker.map(str::to_owned));
        if let Some(recovery) = &mut state.recovery {
            recovery.ended(job, worker);
            self.changed.notify_waiters();
        }
    }

    /// From now on it counts how long it takes until all is as it was: these
    /// edges and workers, and every job that is to end soon.
    pub(crate) fn lifted(&self, edges: HashSet<String>, workers: HashSet<String>) {
        let mut state = self.state.lock().unwrap();
        let is_open = |(job, n): &(&Uuid, &u32)| {
            state.submissions[**n as usize].plan.ends_soon() && !state.ended.contains_key(*job)
        };
        let open = state.by_job.iter().filter(is_open).map(|(job, _)| *job).collect();
        let awaited = Awaited { open, edges, workers };
        state.recovery = Some(Recovery::new(Instant::now(), awaited));
        state.is_stormy = false;
    }

    /// Waits until all is as it was.
    pub(crate) async fn until_recovered(&self) {
        loop {
            let changed = self.changed.notified();
            if self.recovered().is_whole() {
                return;
            }
            changed.await;
        }
    }

    /// How far things have recovered.
    pub(crate) fn recovered(&self) -> Recovered {
        let state = self.state.lock().unwrap();
        state.recovery.as_ref().map(Recovery::so_far).unwrap_or_default()
    }

    /// What a recovery still waits for.
    pub(crate) fn awaited(&self) -> Awaited {
        let state = self.state.lock().unwrap();
        state.recovery.as_ref().map(|recovery| recovery.awaited().clone()).unwrap_or_default()
    }

    /// Everything that was submitted.
    pub(crate) fn submissions(&self) -> Vec<Submission> {
        self.state.lock().unwrap().submissions.clone()
    }
}
