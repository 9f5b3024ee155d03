//! The one loop that owns the slots and claims jobs for them.
//!
//! It claims when it starts, when a slot is freed, when a bell rings, when the
//! link to NATS comes up, and at every sweep; [`Board`] says where, and
//! whether at all. Room first, claim second: no lease ages in a queue of ours.

use std::sync::Arc;
use std::time::Duration;

use jetlane_core::domain::{Claimed, LaneName, WorkerId};
use jetlane_core::messaging::Link;
use jetlane_core::store::{Claim, Claims, Unreadable};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info_span};

use crate::attempt::{Attempt, refuse};
use crate::backoff::Pauses;
use crate::bells::Call;
use crate::board::{Board, Verdict};
use crate::slots::Slots;
use crate::workbench::Workbench;

/// A claim that takes longer has failed; what it claimed after all lapses.
const CLAIM_LIMIT: Duration = Duration::from_secs(10);

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

            let wake = self.not_before.map_or(sweep, |not_before| not_before.min(sweep));
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
                    if Instant::now() >= sweep {
                        self.board.look_everywhere();
                        sweep = Instant::now() + self.settings.poll_interval;
                    }
                }
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

    /// Claims until there is no room, or no lane that may hold work. Bells
    /// that no claim answered are given back.
    async fn fill_slots(&mut self, drain: &CancellationToken) {
        if self.not_before.is_none_or(|not_before| not_before <= Instant::now()) {
            self.not_before = None;
            while let Some(lane) = self.board.next()
                && self.slots.any_free()
                && self.not_before.is_none()
                && !drain.is_cancelled()
            {
                self.claim(lane).await;
                self.slots.collect();
            }
        }
        for lane in 0..self.callers.len() {
            self.tell(lane, Verdict::GiveBack);
        }
    }

    async fn claim(&mut self, lane: usize) {
        let name = &self.settings.lanes[lane];
        let request = Claim {
            lane: name.clone(),
            worker: self.settings.worker,
            gpu_ids: self.slots.free(),
            lease: self.bench.leases.length(),
        };
        let sent = Instant::now();
        let error = match timeout(CLAIM_LIMIT, self.bench.ledger.claim(&request)).await {
            Ok(Ok(claims)) => {
                let got = claims.jobs.len() + claims.unreadable.len();
                let verdict = self.board.note_claim(lane, request.gpu_ids.len(), got);
                let outcome = if verdict == Verdict::Answer { "short" } else { "full" };
                self.bench.metrics.count_claim(name, outcome);
                self.pauses.reset();
                // In this order: who rings once more must not hear it itself.
                self.say_what_is_wanted();
                self.tell(lane, verdict);
                return self.start(claims, sent).await;
            }
            Ok(Err(error)) => anyhow::Error::new(error),
            Err(elapsed) => anyhow::Error::new(elapsed),
        };
        self.bench.metrics.count_claim(name, "failed");
        tracing::warn!(error = format!("{error:#}"), lane = %name, "cannot claim");
        self.not_before = Some(Instant::now() + self.pauses.next());
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

    fn say_what_is_wanted(&self) {
        let is_room = self.slots.any_free();
        for (lane, want) in self.wants.iter().enumerate() {
            let is_wanted = is_room && self.board.waits_for_bell(lane);
            want.send_if_modified(|wanted| std::mem::replace(wanted, is_wanted) != is_wanted);
        }
    }
}
