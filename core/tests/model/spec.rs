//! The model: jobs, attempts, leases and events without a database.

use jetlane_core::domain::{EventKind, JobState, Transition};

/// Milliseconds since the model began.
pub(crate) type Time = u64;

/// Deaths of workers after which a job runs alone, and after which it is dead.
const ISOLATED: u32 = 2;
const DEADLY: u32 = 3;

/// The concurrency keys of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Lets one job run at a time.
    One,
    /// Lets one run until it is final.
    Sequence,
    /// Has a limit that changes; two at a time at first.
    Changing,
}

impl Key {
    pub(crate) const ALL: [Self; 3] = [Self::One, Self::Sequence, Self::Changing];
}

/// How many jobs of a key run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Parallel(usize),
    /// One, until it is final.
    Sequential,
}

impl Limit {
    fn most(self) -> usize {
        match self {
            Self::Parallel(most) => most,
            Self::Sequential => 1,
        }
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self::Parallel(2)
    }
}

/// A job.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) state: JobState,
    pub(crate) key: Option<Key>,
    /// Waits for others of its key.
    pub(crate) is_held: bool,
    pub(crate) attempt: i32,
    pub(crate) failures: i32,
    pub(crate) deaths: u32,
    pub(crate) priority: i32,
    pub(crate) run_at: Time,
    pub(crate) worker: Option<usize>,
    pub(crate) lease_until: Time,
    pub(crate) started: Time,
    pub(crate) is_cancel_requested: bool,
    /// What was told, in its order.
    pub(crate) events: Vec<(EventKind, JobState, i32)>,
    /// The attempts whose result was recorded.
    pub(crate) recorded: Vec<i32>,
}

/// How an attempt ended, as far as its worker knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Retry { after: Time },
    Failed,
    Released,
    Cancelled,
}

/// The ledger as it is supposed to be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) now: Time,
    pub(crate) jobs: Vec<Job>,
    /// When each worker was last heard of.
    pub(crate) heartbeats: Vec<Time>,
    /// That of the key whose limit changes.
    pub(crate) changing: Limit,
}

impl Job {
    /// Follows a transition, which must be a legal one, and tells of it.
    fn follow(&mut self, transition: Transition, kind: EventKind) {
        self.state = self.state.after(transition).unwrap_or_else(|error| panic!("{error}"));
        self.tell(kind);
    }

    fn tell(&mut self, kind: EventKind) {
        self.events.push((kind, self.state, self.attempt));
    }

    fn leave(&mut self) {
        self.lease_until = 0;
    }

    fn is_claimable(&self) -> bool {
        self.state == JobState::Queued && !self.is_held
    }
}

impl Model {
    pub(crate) fn accept(&mut self, run_at: Time, priority: i32, key: Option<Key>) -> usize {
        let (state, kind) = if run_at > self.now {
            (JobState::Scheduled, EventKind::Scheduled)
        } else {
            (JobState::Queued, EventKind::Queued)
        };
        self.jobs.push(Job {
            state,
            key,
            is_held: key.is_some() && state == JobState::Queued,
            attempt: 0,
            failures: 0,
            deaths: 0,
            priority,
            run_at,
            worker: None,
            lease_until: 0,
            started: 0,
            is_cancel_requested: false,
            events: vec![(kind, state, 0)],
            recorded: Vec::new(),
        });
        self.readmit();
        self.jobs.len() - 1
    }

    fn limit(&self, key: Key) -> Limit {
        match key {
            Key::One => Limit::Parallel(1),
            Key::Sequence => Limit::Sequential,
            Key::Changing => self.changing,
        }
    }

    /// A sequential key goes on with the job that it has begun.
    fn is_begun_of_a_sequence(&self, id: usize) -> bool {
        let job = &self.jobs[id];
        job.attempt > 0 && job.key.is_some_and(|key| self.limit(key) == Limit::Sequential)
    }

    /// Whether it has one of its key's places without waiting for a claim.
    fn keeps_place(&self, id: usize) -> bool {
        match self.jobs[id].state {
            JobState::Running => true,
            JobState::Scheduled => self.is_begun_of_a_sequence(id),
            _ => false,
        }
    }

    /// The jobs of a key, best first.
    fn of_key(&self, key: Key) -> Vec<usize> {
        let jobs = 0..self.jobs.len();
        let mut jobs: Vec<_> = jobs.filter(|id| self.jobs[*id].key == Some(key)).collect();
        jobs.sort_by_key(|id| (-self.jobs[*id].priority, *id));
        jobs
    }

    /// Lets the best jobs of each key go, as many as there is room for: once
    /// waiting ones that a better one has joined, or that there is no room for
    /// any more, have given their turn back.
    fn readmit(&mut self) {
        for key in Key::ALL {
            let jobs = self.of_key(key);
            let most = self.limit(key).most();
            let kept = jobs.iter().filter(|id| self.keeps_place(**id)).count();

            let (mut begun, mut others) = (Vec::new(), Vec::new());
            let mut is_beaten = false;
            for id in jobs.iter().copied() {
                is_beaten |= self.jobs[id].is_held;
                if self.jobs[id].is_claimable() {
                    let is_begun = self.is_begun_of_a_sequence(id);
                    if is_begun { &mut begun } else { &mut others }
                        .push((id, is_beaten && !is_begun));
                }
            }
            for (place, (id, is_beaten)) in begun.into_iter().chain(others).enumerate() {
                self.jobs[id].is_held = is_beaten || kept + place >= most;
            }

            let claimable = jobs.iter().filter(|id| self.jobs[**id].is_claimable()).count();
            let room = most.saturating_sub(kept + claimable);
            let held: Vec<_> = jobs.into_iter().filter(|id| self.jobs[*id].is_held).collect();
            for id in held.into_iter().take(room) {
                self.jobs[id].is_held = false;
            }
        }
    }

    /// Changes the limit of the key that has such a one: all but the jobs that
    /// run, or that a sequence goes on with, have to be let go anew.
    pub(crate) fn set_limit(&mut self, limit: Limit) {
        self.changing = limit;
        for id in self.of_key(Key::Changing) {
            if self.jobs[id].is_claimable() && !self.is_begun_of_a_sequence(id) {
                self.jobs[id].is_held = true;
            }
        }
        self.readmit();
    }

    pub(crate) fn promote(&mut self) {
        for id in 0..self.jobs.len() {
            let is_begun = self.is_begun_of_a_sequence(id);
            let job = &mut self.jobs[id];
            if job.state == JobState::Scheduled && job.run_at <= self.now {
                job.is_held = job.key.is_some() && !is_begun;
                job.follow(Transition::Promote, EventKind::Queued);
            }
        }
        self.readmit();
    }

    /// Changes the priority of a job that waits.
    pub(crate) fn change(&mut self, id: usize, priority: i32) {
        let is_begun = self.is_begun_of_a_sequence(id);
        let job = &mut self.jobs[id];
        if matches!(job.state, JobState::Scheduled | JobState::Queued) {
            job.priority = priority;
            job.is_held =
                job.key.is_some() && job.state == JobState::Queued && (job.is_held || !is_begun);
            job.tell(EventKind::Updated);
            self.readmit();
        }
    }

    /// The jobs that a worker takes, with their attempts, best first.
    pub(crate) fn claim(&mut self, worker: usize, room: usize, lease: Time) -> Vec<(usize, i32)> {
        let mut queued: Vec<_> = (0..self.jobs.len())
            .filter(|id| self.jobs[*id].is_claimable() && self.jobs[*id].deaths < ISOLATED)
            .collect();
        queued.sort_by_key(|id| (-self.jobs[*id].priority, *id));
        queued.truncate(room);
        queued.into_iter().map(|id| (id, self.start(id, worker, lease))).collect()
    }

    /// The best job that is to run alone, for a worker that holds nothing.
    pub(crate) fn claim_isolated(&mut self, worker: usize, lease: Time) -> Option<(usize, i32)> {
        let isolated = (0..self.jobs.len())
            .filter(|id| self.jobs[*id].is_claimable() && self.jobs[*id].deaths >= ISOLATED);
        let id = isolated.min_by_key(|id| (-self.jobs[*id].priority, *id))?;
        Some((id, self.start(id, worker, lease)))
    }

    fn start(&mut self, id: usize, worker: usize, lease: Time) -> i32 {
        let (now, until) = (self.now, self.now + lease);
        let job = &mut self.jobs[id];
        job.attempt += 1;
        job.worker = Some(worker);
        job.lease_until = until;
        job.started = now;
        job.follow(Transition::Claim, EventKind::Running);
        job.attempt
    }

    /// Which of these the worker still holds.
    pub(crate) fn renew(
        &mut self,
        worker: usize,
        held: &[(usize, i32)],
        lease: Time,
    ) -> Vec<(usize, i32)> {
        self.heartbeats[worker] = self.now;
        let until = self.now + lease;
        let mut renewed = Vec::new();
        for (id, attempt) in held {
            let job = &mut self.jobs[*id];
            let is_held = job.attempt == *attempt && job.worker == Some(worker);
            if is_held && job.state == JobState::Running {
                job.lease_until = until;
                renewed.push((*id, *attempt));
            }
        }
        renewed
    }

    /// Whether the attempt was the current one; else nothing was written.
    pub(crate) fn settle(&mut self, id: usize, attempt: i32, end: End) -> bool {
        let now = self.now;
        let job = &mut self.jobs[id];
        if job.attempt != attempt || job.state != JobState::Running {
            return false;
        }
        job.leave();
        match end {
            End::Completed => {
                job.recorded.push(attempt);
                job.follow(Transition::Complete, EventKind::Completed);
            }
            End::Retry { .. } | End::Released if job.is_cancel_requested => {
                job.failures += i32::from(matches!(end, End::Retry { .. }));
                job.follow(Transition::Cancel, EventKind::Cancelled);
            }
            End::Retry { after } => {
                job.failures += 1;
                job.run_at = now + after;
                job.follow(Transition::Retry, EventKind::Scheduled);
            }
            End::Failed => {
                job.failures += 1;
                job.follow(Transition::Fail, EventKind::Failed);
            }
            End::Released => job.follow(Transition::Release, EventKind::Released),
            End::Cancelled => job.follow(Transition::Cancel, EventKind::Cancelled),
        }
        self.readmit();
        true
    }

    pub(crate) fn cancel(&mut self, id: usize) {
        let job = &mut self.jobs[id];
        match job.state {
            JobState::Scheduled | JobState::Queued => {
                job.is_cancel_requested = true;
                job.is_held = false;
                job.follow(Transition::Cancel, EventKind::Cancelled);
                self.readmit();
            }
            JobState::Running if !job.is_cancel_requested => {
                job.is_cancel_requested = true;
                job.tell(EventKind::CancelRequested);
            }
            _ => {}
        }
    }

    /// Takes the attempts of silent workers away.
    pub(crate) fn reap(&mut self, silence: Time) {
        let now = self.now;
        for job in &mut self.jobs {
            let Some(worker) = job.worker.filter(|_| job.state == JobState::Running) else {
                continue;
            };
            // A claim is a sign of life too.
            let is_silent = self.heartbeats[worker].max(job.started) + silence < now;
            if !is_silent && job.lease_until >= now {
                continue;
            }
            job.leave();
            job.deaths += u32::from(is_silent);
            if job.is_cancel_requested {
                job.follow(Transition::Cancel, EventKind::Cancelled);
            } else if job.deaths >= DEADLY {
                job.follow(Transition::Quarantine, EventKind::Failed);
            } else {
                job.follow(Transition::Release, EventKind::Released);
            }
        }
        self.readmit();
    }

    pub(crate) fn redrive(&mut self, id: usize) {
        let now = self.now;
        let job = &mut self.jobs[id];
        if job.state == JobState::Failed {
            job.failures = 0;
            job.deaths = 0;
            job.run_at = now;
            job.is_cancel_requested = false;
            job.is_held = job.key.is_some();
            job.follow(Transition::Redrive, EventKind::Redriven);
            self.readmit();
        }
    }

    /// What must hold at any time.
    pub(crate) fn check(&self) {
        for (id, job) in self.jobs.iter().enumerate() {
            assert!(job.recorded.len() <= 1, "job {id} has two results: {job:?}");
            if let Some(recorded) = job.recorded.first() {
                assert_eq!((job.state, *recorded), (JobState::Completed, job.attempt), "{job:?}");
            }
            assert_eq!(job.state == JobState::Running, job.lease_until > 0, "{job:?}");
            assert!(job.failures <= job.attempt, "{job:?}");
            check_path(&job.events);
        }
        for key in Key::ALL {
            let jobs = self.of_key(key);
            let kept = jobs.iter().filter(|id| self.keeps_place(**id)).count();
            let claimable = jobs.iter().filter(|id| self.jobs[**id].is_claimable()).count();
            let most = self.limit(key).most();
            // Those that ran when the limit was lowered stay; nobody joins them.
            let is_kept = claimable == 0 || kept + claimable <= most;
            assert!(is_kept, "{kept} + {claimable} of {key:?}: {:?}", self.jobs);
            let any_held = jobs.iter().any(|id| self.jobs[*id].is_held);
            let is_stranded = kept + claimable < most && any_held;
            assert!(!is_stranded, "nobody lets a job of {key:?} go: {:?}", self.jobs);
        }
    }
}

/// Checks that events tell of a legal life. Written apart from the product's
/// own table of transitions, on purpose.
pub(crate) fn check_path(events: &[(EventKind, JobState, i32)]) {
    use EventKind as K;

    let mut last: Option<(JobState, i32)> = None;
    for (kind, state, attempt) in events {
        let is_legal = match (last.map(|(state, _)| state), kind) {
            (None, K::Queued | K::Scheduled) => *attempt == 0,
            (Some(before @ (JobState::Scheduled | JobState::Queued)), K::Updated) => {
                before == *state && last.is_some_and(|(_, before)| before == *attempt)
            }
            (Some(JobState::Scheduled), K::Queued)
            | (Some(JobState::Scheduled | JobState::Queued), K::Cancelled | K::Failed)
            | (Some(JobState::Failed), K::Redriven)
            | (
                Some(JobState::Running),
                K::CancelRequested
                | K::Completed
                | K::Failed
                | K::Cancelled
                | K::Scheduled
                | K::Released,
            ) => last.is_some_and(|(_, before)| before == *attempt),
            (Some(JobState::Queued), K::Running) => {
                last.is_some_and(|(_, before)| before + 1 == *attempt)
            }
            _ => false,
        };
        assert!(is_legal, "{kind} after {last:?} in {events:?}");
        last = Some((*state, *attempt));
    }
}
