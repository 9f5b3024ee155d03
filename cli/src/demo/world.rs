//! What the demo's client knows, from what it has read and nothing else.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use jetlane_core::domain::{EventKind, JobId};

use super::history::History;
use super::latency::Samples;
use super::tasks::Submission;
use crate::client::JobEvent;

/// How many events are kept to be shown.
const RECENT: usize = 4;

/// The parts of a demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing is measured yet.
    WarmUp,
    /// Each job is submitted once the one before it runs, a slot being free.
    OneAtATime,
    /// All at once: jobs wait for each other.
    Backlog,
}

/// What is known.
#[derive(Debug)]
pub(super) struct World {
    pub(super) phase: Phase,
    pub(super) history: History,
    /// The jobs that were accepted.
    pub(super) accepted: HashMap<JobId, Submission>,
    /// How many answers to submits are awaited.
    pub(super) awaited: usize,
    /// Submits that were not accepted, and why.
    pub(super) refusals: Vec<String>,
    /// Whether events come in.
    pub(super) is_connected: bool,
    /// How often the stream of events broke off.
    pub(super) reconnects: usize,
    /// How often the server had forgotten where to resume.
    pub(super) resets: usize,
    /// Commit to read, of the events that tell when they were committed.
    pub(super) notifications: Samples,
    /// Events that do not tell, because a relay sent them.
    pub(super) relayed: usize,
    /// Jobs that were tried again.
    pub(super) retried: HashSet<JobId>,
    /// What runs, by job.
    pub(super) running: HashMap<JobId, Running>,
    /// The latest events, newest last.
    pub(super) recent: VecDeque<JobEvent>,
    /// When each job was first read to run.
    started: HashMap<JobId, Instant>,
    /// Accepted, and not ended.
    open: HashSet<JobId>,
    /// The job whose acceptance was read last.
    latest: Option<JobId>,
    /// Jobs whose end is to be asked for.
    to_cancel: Vec<JobId>,
    /// Workers in the order in which they showed up.
    workers: Vec<String>,
}

/// An attempt that runs.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) lane: String,
    pub(super) attempt: i32,
    /// From 1, in the order in which workers showed up.
    pub(super) worker: usize,
    pub(super) gpu: Option<i32>,
    pub(super) since: Instant,
}

impl World {
    /// Nothing is known yet.
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::WarmUp,
            history: History::default(),
            accepted: HashMap::new(),
            awaited: 0,
            refusals: Vec::new(),
            is_connected: false,
            reconnects: 0,
            resets: 0,
            notifications: Samples::default(),
            relayed: 0,
            retried: HashSet::new(),
            running: HashMap::new(),
            recent: VecDeque::new(),
            started: HashMap::new(),
            open: HashSet::new(),
            latest: None,
            to_cancel: Vec::new(),
            workers: Vec::new(),
        }
    }

    /// Takes an event that was read at `at`, which is `wall` on the wall clock.
    /// Returns whether it was new.
    pub(super) fn see(&mut self, event: &JobEvent, at: Instant, wall: DateTime<Utc>) -> bool {
        if !self.history.record(event) {
            return false;
        }
        match event.committed_at {
            // Stamped and read on one machine, where the clock may be set back.
            Some(committed) => {
                self.notifications.add((wall - committed).to_std().unwrap_or_default());
            }
            None => self.relayed += 1,
        }
        if event.kind == EventKind::Running {
            self.begin(event, at);
        } else if event.kind != EventKind::CancelRequested {
            self.running.remove(&event.job_id);
        }
        if event.kind.is_last() {
            self.open.remove(&event.job_id);
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(event.clone());
        true
    }

    fn begin(&mut self, event: &JobEvent, at: Instant) {
        self.started.entry(event.job_id).or_insert(at);
        if event.attempt > 1 {
            self.retried.insert(event.job_id);
        }
        if self.accepted.get(&event.job_id).is_some_and(|job| job.cancel_when_running) {
            self.to_cancel.push(event.job_id);
        }
        let worker = event.worker.as_deref().unwrap_or_default();
        let running = Running {
            lane: event.lane.clone(),
            attempt: event.attempt,
            worker: self.worker_number(worker),
            gpu: event.gpu_id,
            since: at,
        };
        self.running.insert(event.job_id, running);
    }

    fn worker_number(&mut self, worker: &str) -> usize {
        let known = self.workers.iter().position(|known| known == worker);
        let index = known.unwrap_or_else(|| {
            self.workers.push(worker.to_owned());
            self.workers.len() - 1
        });
        index + 1
    }

    /// Takes the answer to a submit. Events of the job may have come before it.
    pub(super) fn accept(&mut self, id: JobId, job: Submission) {
        self.awaited -= 1;
        self.latest = Some(id);
        if !self.history.state(id).is_some_and(jetlane_core::domain::JobState::is_final) {
            self.open.insert(id);
        }
        if job.cancel_when_running && self.running.contains_key(&id) {
            self.to_cancel.push(id);
        }
        self.accepted.insert(id, job);
    }

    /// Takes the answer that a job was not accepted.
    pub(super) fn refuse(&mut self, job: &Submission, reason: &str) {
        self.awaited -= 1;
        self.refusals.push(format!("{}: {reason}", job.name));
    }

    /// Whether every submit was answered, and every accepted job has ended.
    pub(super) fn is_idle(&self) -> bool {
        self.awaited == 0 && self.open.is_empty()
    }

    /// Whether the job submitted last has started, and any worker with `slots`
    /// has one free, wherever the others run.
    pub(super) fn has_room(&self, slots: usize) -> bool {
        let has_started = self.latest.is_none_or(|latest| self.started.contains_key(&latest));
        self.awaited == 0 && has_started && self.open.len() < slots
    }

    /// How many accepted jobs have ended.
    pub(super) fn ended(&self) -> usize {
        self.accepted.len() - self.open.len()
    }

    /// The jobs whose end is to be asked for now; each is told once.
    pub(super) fn take_cancels(&mut self) -> Vec<JobId> {
        std::mem::take(&mut self.to_cancel)
    }

    /// From just before a job of `phase` was submitted until it was read to run.
    pub(super) fn pick_ups(&self, phase: Phase) -> Samples {
        let jobs = self.accepted.iter().filter(|(_, job)| job.phase == phase);
        jobs.filter_map(|(id, job)| self.waited(*id, job)).collect()
    }

    fn waited(&self, id: JobId, job: &Submission) -> Option<Duration> {
        Some(self.started.get(&id)?.saturating_duration_since(job.sent_at))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    const JOB: JobId = JobId(Uuid::from_u128(1));

    fn event(seq: i32, kind: &str, attempt: i32) -> JobEvent {
        serde_json::from_value(json!({
            "job_id": JOB, "seq": seq, "kind": kind, "state": kind, "attempt": attempt,
            "timestamp": "2026-01-31T12:00:00.000000Z", "lane": "default", "worker": "w",
            "committed_at": "2026-01-31T12:00:00.000000Z",
        }))
        .unwrap()
    }

    fn submission(sent_at: Instant) -> Submission {
        Submission {
            name: "embed".to_owned(),
            lane: "default".to_owned(),
            phase: Phase::OneAtATime,
            sent_at,
            cancel_when_running: true,
        }
    }

    #[test]
    fn events_may_come_before_the_answer_to_the_submit() {
        let sent_at = Instant::now();
        let read_at = sent_at + Duration::from_millis(3);
        let wall = "2026-01-31T12:00:00.002Z".parse().unwrap();
        let mut world = World::new();
        world.awaited = 1;

        world.see(&event(1, "queued", 0), sent_at, wall);
        world.see(&event(2, "running", 1), read_at, wall);
        world.accept(JOB, submission(sent_at));

        assert!(world.has_room(2) && !world.has_room(1) && !world.is_idle());
        assert_eq!(world.take_cancels(), [JOB]);
        assert_eq!(world.take_cancels(), []);
        assert_eq!(world.pick_ups(Phase::OneAtATime).summary().max, Some(3.0));
        assert_eq!(world.pick_ups(Phase::Backlog).summary().count, 0);
        assert_eq!(world.notifications.summary().max, Some(2.0));
    }

    #[test]
    fn a_repeat_is_measured_once() {
        let mut world = World::new();
        let see = |world: &mut World, seq| {
            world.see(&event(seq, "queued", 0), Instant::now(), DateTime::UNIX_EPOCH)
        };
        assert!(see(&mut world, 1));
        assert!(!see(&mut world, 1));
        assert_eq!(world.notifications.summary().count, 1);
    }

    #[test]
    fn a_job_that_ended_before_its_answer_is_not_open() {
        let now = Instant::now();
        let mut world = World::new();
        world.awaited = 1;
        for (seq, kind, attempt) in [(1, "queued", 0), (2, "running", 1), (3, "completed", 1)] {
            world.see(&event(seq, kind, attempt), now, DateTime::UNIX_EPOCH);
        }
        world.accept(JOB, submission(now));
        assert!(world.is_idle());
        assert_eq!(world.take_cancels(), []);
    }
}
