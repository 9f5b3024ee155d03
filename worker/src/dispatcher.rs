//! The one loop that owns the slots and claims jobs for them.
//!
//! It claims when it starts, when a slot is freed, when a bell rings, when the
//! link to NATS comes up, and at every sweep; [`Board`] says where, and
//! whether at all. Room first, claim second: no lease ages in a queue of ours.

mod isolating;

use std::sync::Arc;
use std::time::Duration;

use jetlane_core::causes;
use jetlane_core::domain::{Claimed, LaneName, WorkerId};
use jetlane_core::messaging::Link;
use jetlane_core::store::{Claim, Claims, Sight, StoreError, Unreadable};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info_span};

use crate::attempt::{Attempt, refuse};
use crate::backoff::Pauses;
use crate::bells::Call;
use crate::board::{Board, Verdict};
use crate::shares::Shares;
use crate::slots::Slots;
use crate::workbench::Workbench;
use isolating::Isolating;

/// A claim that takes longer has failed; what it claimed after all lapses.
const CLAIM_LIMIT: Duration = Duration::from_secs(10);

/// How often tenants are looked up for one filling of slots: others may be
/// served by other workers meanwhile.
const MOST_LOOK_UPS: usize = 3;

/// While a worker makes room, it looks so often whether the job still wants it.
const ROOM_PERIOD: Duration = Duration::from_millis(500);

/// How long NATS may take to take a ring.
const RING_LIMIT: Duration = Duration::from_secs(2);

/// Past the time at which a lane's rate allows another start, so that the
/// ledger's clock has reached it.
const RATE_SLACK: Duration = Duration::from_millis(1);

/// What a dispatcher is made from.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Who claims.
    pub(crate) worker: WorkerId,
    /// Where from; at least one.
    pub(crate) lanes: Vec<LaneName>,
    /// How often it looks without being woken.
    pub(crate) poll_interval: Duration,
    /// Chance, handed on to the attempts.
    pub(crate) rng: StdRng,
}

/// Claims jobs and starts attempts.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    settings: Settings,
    bench: Arc<Workbench>,
    attempts: TaskTracker,
    slots: Slots,
    board: Board,
    calls: mpsc::Receiver<Call>,
    /// Per lane: bells that were heard and not looked after yet.
    callers: Vec<Option<oneshot::Sender<Verdict>>>,
    /// Per lane: tells the listener whether a bell is wanted.
    wants: Vec<watch::Sender<bool>>,
    /// Per lane: whose jobs go next.
    shares: Vec<Shares>,
    /// Per lane: its rate allows no start before this.
    next_start: Vec<Option<Instant>>,
    /// While it is set, nothing else is claimed.
    isolating: Option<Isolating>,
    /// Per lane: another worker makes room for a job that is to run alone, which is ours to
    /// take over once nothing runs here.
    may_take_over: Vec<bool>,
    /// The ledger may hold a job for this worker that is to run alone.
    has_reserved: bool,
    /// After a failed claim none is sent before this.
    not_before: Option<Instant>,
    pauses: Pauses,
}

/// What a lane's listener needs of the dispatcher.
#[derive(Debug)]
pub(crate) struct Line {
    /// Whether a bell is wanted.
    pub(crate) is_wanted: watch::Receiver<bool>,
    /// Where to say that one rang.
    pub(crate) calls: mpsc::Sender<Call>,
}

impl Dispatcher {
    /// A dispatcher that starts attempts on `attempts`, and a line for each lane.
    pub(crate) fn new(
        settings: Settings,
        bench: Arc<Workbench>,
        attempts: TaskTracker,
        slots: Slots,
    ) -> (Self, Vec<Line>) {
        let count = settings.lanes.len();
        // A listener says one thing at a time.
        let (call, calls) = mpsc::channel(count.max(1));
        let (wants, lines) = (0..count)
            .map(|_| {
                let (want, is_wanted) = watch::channel(false);
                (want, Line { is_wanted, calls: call.clone() })
            })
            .unzip();
        let dispatcher = Self {
            settings,
            bench,
            attempts,
            slots,
            board: Board::new(count),
            calls,
            callers: (0..count).map(|_| None).collect(),
            wants,
            shares: (0..count).map(|_| Shares::new()).collect(),
            next_start: vec![None; count],
            isolating: None,
            may_take_over: vec![false; count],
            has_reserved: false,
            not_before: None,
            pauses: Pauses::new(),
        };
        (dispatcher, lines)
    }

    /// Claims until `drain`. A claim that is under way then is still answered,
    /// and its jobs are started.
    pub(crate) async fn run(mut self, drain: CancellationToken) {
        let mut link = self.bench.messaging.link();
        let mut known = *link.borrow_and_update();
        let mut sweep = Instant::now() + self.settings.poll_interval;
        while !drain.is_cancelled() {
            self.fill_slots(&drain).await;
            self.say_what_is_wanted();

            let is_making_room = matches!(self.isolating, Some(Isolating::MakingRoom(_)));
            let look = is_making_room.then(|| Instant::now() + ROOM_PERIOD);
            let timers = self.next_start.iter().copied().chain([self.not_before, look]);
            let wake = timers.flatten().fold(sweep, Instant::min);
            tokio::select! {
                () = drain.cancelled() => {}
                () = self.slots.freed() => {}
                Some(call) = self.calls.recv() => self.hear(call),
                Ok(()) = link.changed() => {
                    let now = *link.borrow_and_update();
                    self.note_link(known, now);
                    known = now;
                }
                () = sleep_until(wake) => {
                    let now = Instant::now();
                    if now >= sweep {
                        self.board.look_everywhere();
                        sweep = now + self.settings.poll_interval;
                    }
                    self.look_where_starts_are_allowed(now).await;
                }
            }
        }
        self.give_up_isolated().await;
        for lane in 0..self.next_start.len() {
            if self.next_start[lane].is_some() {
                self.ring_others(lane).await;
            }
        }
    }

    /// Bells may have rung that nobody heard.
    fn note_link(&mut self, before: Link, now: Link) {
        if now.generation != before.generation {
            self.board.look_everywhere();
        }
    }

    fn hear(&mut self, call: Call) {
        self.board.look(call.lane);
        self.callers[call.lane] = Some(call.verdict);
    }

    /// Looks again at lanes whose rate allows another start. Nobody else may
    /// know when that is: without room, it is for others to look.
    async fn look_where_starts_are_allowed(&mut self, now: Instant) {
        for lane in 0..self.next_start.len() {
            if self.next_start[lane].take_if(|at| *at <= now).is_none() {
                continue;
            }
            self.board.look(lane);
            if !self.has_room() {
                self.ring_others(lane).await;
            }
        }
    }

    /// Claims until there is no room, or no lane that may hold work. Bells
    /// that no claim answered are given back.
    async fn fill_slots(&mut self, drain: &CancellationToken) {
        self.not_before.take_if(|not_before| *not_before <= Instant::now());
        while self.not_before.is_none() && !drain.is_cancelled() {
            // The last attempt may have ended during a claim.
            if self.slots.all_free() {
                self.look_where_to_take_over();
            }
            if let Some(isolating) = self.isolating {
                self.isolate(isolating).await;
                self.slots.collect();
                if self.isolating.is_some() {
                    break;
                }
            } else if let Some(lane) = self.board.next()
                && self.slots.any_free()
            {
                self.claim(lane).await;
                self.slots.collect();
            } else {
                break;
            }
        }
        if self.isolating.is_none() && self.not_before.is_none() {
            self.give_up_isolated().await;
        }
        for lane in 0..self.callers.len() {
            self.tell(lane, Verdict::GiveBack);
        }
    }

    /// Claims for all free slots, and answers the lane's bells.
    async fn claim(&mut self, lane: usize) {
        let asked = self.slots.free().len();
        let mut got = 0;
        let mut look_ups = 0;
        if self.shares[lane].is_stale(Instant::now()) {
            look_ups += 1;
            if !self.look_up_tenants(lane).await {
                return;
            }
        }
        loop {
            let sent = Instant::now();
            let Some(claims) = self.try_claim(lane).await else { return };
            let sight = claims.sight.clone();
            let taken = claims.jobs.len() + claims.unreadable.len();
            got += taken;
            for job in &claims.jobs {
                self.shares[lane].charge(&job.tenant);
            }
            self.shares[lane].note(&sight);
            let is_overlooked = got < asked
                && look_ups < MOST_LOOK_UPS
                && sight.next_start_in.is_none_or(|wait| wait.is_zero())
                && self.shares[lane].may_overlook(&sight);
            if !is_overlooked {
                self.note_claim(lane, asked, got, &sight);
                self.start(claims, sent).await;
                return self.note_isolated(lane, &sight).await;
            }
            self.start(claims, sent).await;
            look_ups += 1;
            if !self.look_up_tenants(lane).await {
                return;
            }
        }
    }

    /// One claim; `None` if it failed.
    async fn try_claim(&mut self, lane: usize) -> Option<Claims> {
        let name = &self.settings.lanes[lane];
        let gpu_ids = self.slots.free();
        let request = Claim {
            lane: name.clone(),
            worker: self.settings.worker,
            shares: self.shares[lane].plan(gpu_ids.len()),
            gpu_ids,
            lease: self.bench.leases.length(),
        };
        let claims = timeout(CLAIM_LIMIT, self.bench.ledger.claim(&request)).await;
        self.checked(lane, claims)
    }

    /// Finds out who has jobs waiting in the lane; false if that failed.
    async fn look_up_tenants(&mut self, lane: usize) -> bool {
        let found = self.bench.ledger.shares(&self.settings.lanes[lane], self.shares[lane].go_on());
        let found = timeout(CLAIM_LIMIT, found).await;
        let Some(found) = self.checked(lane, found) else { return false };
        self.shares[lane].learn(found, Instant::now());
        true
    }

    /// Answers the bells as a claim's outcome says.
    fn note_claim(&mut self, lane: usize, asked: usize, got: usize, sight: &Sight) {
        let verdict = self.board.note_claim(lane, asked, got);
        let outcome = if verdict == Verdict::Answer { "short" } else { "full" };
        self.bench.metrics.count_claim(&self.settings.lanes[lane], outcome);
        self.next_start[lane] = sight
            .next_start_in
            .filter(|wait| !wait.is_zero())
            .map(|wait| Instant::now() + wait + RATE_SLACK);
        self.pauses.reset();
        // In this order: who rings once more must not hear it itself.
        self.say_what_is_wanted();
        self.tell(lane, verdict);
    }

    /// Rings a lane that others may do more for.
    async fn ring_others(&self, lane: usize) {
        let ring = self.bench.messaging.ring(&self.settings.lanes[lane], None);
        if !matches!(timeout(RING_LIMIT, ring).await, Ok(Ok(_))) {
            tracing::debug!("cannot ring for others; they look at their next sweep");
        }
    }

    /// What the ledger answered; `None` if it did not, and then there is a pause.
    fn checked<T>(
        &mut self,
        lane: usize,
        answer: Result<Result<T, StoreError>, Elapsed>,
    ) -> Option<T> {
        let error = match answer {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => anyhow::Error::new(error),
            Err(elapsed) => anyhow::Error::new(elapsed),
        };
        let name = &self.settings.lanes[lane];
        self.bench.metrics.count_claim(name, "failed");
        tracing::warn!(error = causes(&error), lane = %name, "cannot claim");
        self.not_before = Some(Instant::now() + self.pauses.next());
        None
    }

    /// Tells of the claimed jobs and starts their attempts, neither waiting
    /// for the other.
    async fn start(&mut self, claims: Claims, sent: Instant) {
        let bench = Arc::clone(&self.bench);
        // The first poll sends; only a stuck connection makes it wait, and
        // then the attempts do not.
        tokio::join!(biased; bench.announcer.announce(claims.change), async {
            for job in claims.jobs {
                self.start_one(job, sent);
            }
            for unreadable in claims.unreadable {
                self.refuse(unreadable, sent);
            }
        });
    }

    fn refuse(&self, job: Unreadable, sent: Instant) {
        let (_, told) = watch::channel(None);
        let held = self.bench.leases.hold(job.lease, sent, told);
        self.attempts.spawn(refuse(job, held, Arc::clone(&self.bench)));
    }

    fn start_one(&mut self, job: Claimed, sent: Instant) {
        let span = info_span!(
            "attempt",
            job.id = %job.lease.job_id,
            job.attempt = job.lease.attempt,
            lane = %job.lane,
            traceparent = job.traceparent,
        );
        let (progress, told) = watch::channel(None);
        let attempt = Attempt {
            slot: self.slots.take(job.gpu_id),
            held: self.bench.leases.hold(job.lease, sent, told),
            progress,
            rng: StdRng::seed_from_u64(self.settings.rng.random()),
            job,
        };
        self.attempts.spawn(attempt.run(Arc::clone(&self.bench)).instrument(span));
    }

    fn tell(&mut self, lane: usize, verdict: Verdict) {
        if let Some(caller) = self.callers[lane].take() {
            // A listener that went away has lost its bells with its connection.
            let _ = caller.send(verdict);
        }
    }

    fn has_room(&self) -> bool {
        self.slots.any_free() && self.isolating.is_none()
    }

    fn say_what_is_wanted(&self) {
        let is_room = self.has_room();
        for (lane, want) in self.wants.iter().enumerate() {
            let is_wanted = is_room && self.board.waits_for_bell(lane);
            want.send_if_modified(|wanted| std::mem::replace(wanted, is_wanted) != is_wanted);
        }
    }
}
