//! Clients that submit, and what they write down of it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::Plan;
use super::call::{Call, Heard, http_client_without_pool};
use crate::args::Switch;
use crate::chance::{Use, chance};
use crate::history::{History, Phase, Standing};
use crate::violations::{Invariant, Violation};
use crate::world::{TENANTS, World};

/// A submit with a key is tried again for so long.
pub(super) const KEYED_LIMIT: Duration = Duration::from_secs(90);

/// An answer that takes so long is noticed.
const LATE: Duration = Duration::from_secs(1);

/// What one try of a submit brought.
enum Tried {
    /// The job.
    Accepted(Uuid),
    /// Certainly nothing; another try may do better.
    NotDone,
    /// Perhaps the job.
    Unknown,
}

/// Where requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Edges,
    /// To functions.
    Gateway,
}

/// All clients. They share what they know of the edges.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) world: Arc<World>,
    pub(crate) history: Arc<History>,
    pub(crate) http: Client,
    pub(crate) seed: u64,
    pub(crate) idempotency: Switch,
    pub(crate) door: Door,
    /// How many calls found no answer, a bad one, or a late one.
    pub(crate) troubles: Arc<AtomicU64>,
    /// How many milliseconds the ledger's clock is ahead.
    pub(crate) ledger_offset: Arc<AtomicI64>,
}

impl Clients {
    /// Carries out the next plan of the mixed load, from submit to cancel.
    /// Returns whether it was accepted.
    pub(crate) async fn drive(&self) -> bool {
        let plan = self.mixed();
        let mut rng = chance(self.seed, Use::Client, plan.n.into());
        let job = self.submit(&plan, &mut rng).await;
        if let Some(job) = job {
            self.follow(&plan, job, &mut rng).await;
        }
        job.is_some()
    }

    /// The same clients, but each request has a connection of its own.
    pub(crate) fn with_connections_of_their_own(&self) -> Self {
        Self {
            world: Arc::clone(&self.world),
            history: Arc::clone(&self.history),
            http: http_client_without_pool(),
            troubles: Arc::clone(&self.troubles),
            ledger_offset: Arc::clone(&self.ledger_offset),
            ..*self
        }
    }

    /// The same clients, but they ask functions.
    pub(crate) fn through_the_gateway(&self) -> Self {
        Self {
            world: Arc::clone(&self.world),
            history: Arc::clone(&self.history),
            http: self.http.clone(),
            troubles: Arc::clone(&self.troubles),
            ledger_offset: Arc::clone(&self.ledger_offset),
            door: Door::Gateway,
            ..*self
        }
    }

    /// A plan of the mixed load.
    pub(crate) fn mixed(&self) -> Plan {
        self.history.begin(|n| self.plan(n))
    }

    pub(super) fn plan(&self, n: u32) -> Plan {
        let plan = Plan::mixed(self.seed, n, self.idempotency);
        let run_at = plan.delay.map(|delay| self.in_future(delay));
        Plan { run_at, ..plan }
    }

    /// Submits a job that takes long and goes first.
    pub(crate) async fn submit_long(&self, millis: Range<u64>) {
        let plan = self.history.begin(|n| Plan::long(self.seed, n, millis));
        let mut rng = chance(self.seed, Use::Client, plan.n.into());
        self.submit(&plan, &mut rng).await;
    }

    /// Submits a job of the mixed load and hangs up after a moment, if there
    /// was no answer by then. Whoever has a key asks again.
    pub(crate) async fn hang_up(&self, after: Duration) -> bool {
        let plan = self.mixed();
        let mut rng = chance(self.seed, Use::Client, plan.n.into());
        let tried = timeout(after, self.try_submit(&plan, &mut rng, false)).await;
        match tried {
            Ok(Tried::Accepted(_)) => return false,
            Ok(Tried::NotDone) => self.history.gave_up(plan.n, Standing::NotDone),
            Ok(Tried::Unknown) => self.history.gave_up(plan.n, Standing::Unknown),
            Err(_) => {
                self.history.note("submit", Phase::Unknown, Some(plan.n), json!("hung up"));
                self.history.gave_up(plan.n, Standing::Unknown);
            }
        }
        if plan.idempotency_key.is_some() {
            self.submit(&plan, &mut rng).await;
        }
        tried.is_err()
    }

    /// Submits a job for a lane that is not there, and hangs up after a moment if there was no answer
    /// by then. It has a key: such jobs have a transaction of their own.
    pub(crate) async fn hang_up_hopelessly(&self, after: Duration, rng: &mut StdRng) -> bool {
        let call = Call {
            method: Method::POST,
            url: format!("{}/jobs", self.any_edge(rng)),
            tenant: TENANTS[0],
            idempotency_key: None,
            body: Some(json!({ "name": "hopeless", "lane": "nowhere", "concurrency_key": "x" })),
        };
        match timeout(after, call.send(&self.http)).await {
            Ok(Heard::Answer { status, body, .. }) if status < 400 => {
                let what = format!("a job for a lane that is not there: {status} {body}");
                self.blame(Invariant::Api, what);
                false
            }
            heard => heard.is_err(),
        }
    }

    /// Submits until there is an answer, or once if there is no key.
    pub(crate) async fn submit(&self, plan: &Plan, rng: &mut StdRng) -> Option<Uuid> {
        if !plan.is_doubled {
            return self.submit_once(plan, rng).await;
        }
        let mut twin = chance(self.seed, Use::Client, u64::from(plan.n) + (1 << 32));
        let (one, other) =
            tokio::join!(self.submit_once(plan, rng), self.submit_once(plan, &mut twin));
        one.or(other)
    }

    async fn submit_once(&self, plan: &Plan, rng: &mut StdRng) -> Option<Uuid> {
        let deadline = Instant::now() + KEYED_LIMIT;
        let mut standing = Standing::NotDone;
        loop {
            match self.try_submit(plan, rng, false).await {
                Tried::Accepted(job) => return Some(job),
                Tried::NotDone => {}
                Tried::Unknown => standing = Standing::Unknown,
            }
            let is_too_late = Instant::now() >= deadline;
            if is_too_late && plan.idempotency_key.is_some() {
                let what = format!("{} was refused for {KEYED_LIMIT:?}", plan.name());
                self.blame(Invariant::Api, what);
            }
            if is_too_late || plan.idempotency_key.is_none() {
                self.history.gave_up(plan.n, standing);
                return None;
            }
            sleep(Duration::from_millis(rng.random_range(50..500))).await;
        }
    }

    /// Submits with a key that has been answered: the answer must say so.
    pub(super) async fn submit_again(&self, plan: &Plan, rng: &mut StdRng) {
        self.try_submit(plan, rng, true).await;
    }

    async fn try_submit(&self, plan: &Plan, rng: &mut StdRng, must_be_replay: bool) -> Tried {
        let (began, calm_before) = (Instant::now(), self.history.calm_since());
        let n = Some(plan.n);
        let edge = self.any_edge(rng);
        self.history.note("submit", Phase::Invoke, n, json!({ "edge": edge }));
        let call = Call {
            method: Method::POST,
            url: format!("{edge}/jobs"),
            tenant: plan.tenant,
            idempotency_key: plan.idempotency_key.clone(),
            body: Some(plan.body()),
        };
        let heard = call.send(&self.http).await;
        if began.elapsed() >= LATE {
            self.troubles.fetch_add(1, Ordering::Relaxed);
        }
        match heard {
            Heard::Answer { status: 201, body, is_replay } => {
                let Some(job) = self.accepted_job(plan, &body) else { return Tried::Unknown };
                if must_be_replay && !is_replay {
                    let what = "the answer to a repeated key does not say that it is replayed";
                    self.history.blame(Violation::of(Invariant::Idempotent, job, what));
                }
                let more = json!({ "job": job, "replay": is_replay });
                self.history.note("submit", Phase::Ok, n, more);
                self.history.accepted(plan.n, job, began, &edge);
                Tried::Accepted(job)
            }
            Heard::NotSent(error) => {
                self.trouble("submit", Phase::Fail, plan, json!(error));
                Tried::NotDone
            }
            // Without a key there is nothing to be in use.
            Heard::Answer { status: status @ (409 | 503), body, .. }
                if status == 503 || plan.idempotency_key.is_some() =>
            {
                if status == 503
                    && calm_before.is_some()
                    && self.history.calm_since() == calm_before
                {
                    let what = format!("{} was refused in calm weather: {body}", plan.name());
                    self.blame(Invariant::Api, what);
                }
                self.trouble("submit", Phase::Unknown, plan, body);
                Tried::Unknown
            }
            Heard::Nothing(error) => {
                self.trouble("submit", Phase::Unknown, plan, json!(error));
                Tried::Unknown
            }
            Heard::Answer { status, body, .. } => {
                self.blame(
                    Invariant::Api,
                    format!("a submit of {} was answered {status} {body}", plan.name()),
                );
                Tried::Unknown
            }
        }
    }

    /// The job that a submit was answered with; it must be the one submitted.
    pub(super) fn accepted_job(&self, plan: &Plan, body: &Value) -> Option<Uuid> {
        let name = plan.name();
        let Some(job) = body["id"].as_str().and_then(|id| id.parse().ok()) else {
            self.blame(Invariant::Api, format!("{name} was accepted without an id: {body}"));
            return None;
        };
        if body["name"] != json!(name) {
            let what = format!("{name} was answered with another job: {body}");
            self.history.blame(Violation::of(Invariant::Idempotent, job, what));
        }
        Some(job)
    }

    pub(super) fn any_edge(&self, rng: &mut StdRng) -> String {
        match self.door {
            Door::Edges => self.world.edges[rng.random_range(0..self.world.edges.len())].url(),
            Door::Gateway => self.world.gateway.url(),
        }
    }

    pub(super) fn trouble(&self, what: &'static str, phase: Phase, plan: &Plan, more: Value) {
        self.troubles.fetch_add(1, Ordering::Relaxed);
        self.history.note(what, phase, Some(plan.n), more);
    }

    pub(super) fn blame(&self, invariant: Invariant, what: String) {
        self.history.blame(Violation::general(invariant, what));
    }

    /// The time by the ledger's clock after so long.
    #[expect(clippy::disallowed_methods, reason = "a client's clock is the system's")]
    fn in_future(&self, delay: Duration) -> DateTime<Utc> {
        let ahead = TimeDelta::milliseconds(self.ledger_offset.load(Ordering::Relaxed));
        let delay = TimeDelta::from_std(delay).expect("a plan's delay is short");
        // As exact as the ledger keeps it, and no less.
        (Utc::now() + ahead + delay).trunc_subsecs(3)
    }
}
