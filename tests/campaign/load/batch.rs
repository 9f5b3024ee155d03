//! Clients that submit many jobs in one request.

use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::call::{Call, Heard};
use super::clients::KEYED_LIMIT;
use super::{Clients, Plan};
use crate::chance::{Use, chance};
use crate::history::{Phase, Standing};
use crate::violations::Invariant;

/// How many jobs a batch has.
const JOBS: usize = 8;

/// What a batch is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Batch {
    /// Its jobs are to be accepted together or not at all.
    is_whole: bool,
    /// One more item cannot be accepted.
    has_bad_item: bool,
    /// Each job has a key, and the batch is submitted until it is answered.
    is_keyed: bool,
}

impl Clients {
    /// Submits the next plans of the mixed load in one request: of one tenant,
    /// half of the time with keys. Half of them are to be accepted as a whole or
    /// not at all, and of those one in four has an item that cannot be accepted;
    /// so have all others.
    pub(crate) async fn drive_batch(&self) {
        let plans: Vec<Plan> = (0..JOBS).map(|_| self.for_a_batch()).collect();
        let mut rng = chance(self.seed, Use::Client, plans[0].n.into());
        let is_whole = rng.random_bool(0.5);
        let has_bad_item = !is_whole || rng.random_bool(0.25);
        let is_keyed = rng.random_bool(0.5);
        let batch = Batch { is_whole, has_bad_item, is_keyed };
        if is_whole {
            self.history.begin_whole(plans.iter().map(|plan| plan.n).collect());
        }
        let deadline = Instant::now() + KEYED_LIMIT;
        let mut known = Standing::NotDone;
        loop {
            match self.try_batch(&plans, batch, &mut rng).await {
                Tried::Answered => break,
                Tried::Refused => {
                    // So was every try before.
                    known = Standing::NotDone;
                    break;
                }
                Tried::NotDone => {}
                Tried::Unknown => known = Standing::Unknown,
            }
            if !is_keyed {
                break;
            }
            if Instant::now() >= deadline {
                let what = format!("the batch of {} was refused for {KEYED_LIMIT:?}", plans[0].n);
                self.blame(Invariant::Api, what);
                break;
            }
            sleep(Duration::from_millis(rng.random_range(50..500))).await;
        }
        for plan in &plans {
            self.history.gave_up(plan.n, known);
        }
    }

    fn for_a_batch(&self) -> Plan {
        self.history.begin(|n| {
            let plan = self.plan(n);
            let tenant = crate::world::TENANTS[0];
            Plan { tenant, idempotency_key: None, is_doubled: false, then: Vec::new(), ..plan }
        })
    }

    async fn try_batch(&self, plans: &[Plan], batch: Batch, rng: &mut StdRng) -> Tried {
        let (began, edge) = (Instant::now(), self.any_edge(rng));
        let first = &plans[0];
        self.history.note("batch", Phase::Invoke, Some(first.n), json!({ "edge": edge }));
        let call = Call {
            method: Method::POST,
            url: format!("{edge}/jobs:batch"),
            tenant: first.tenant,
            idempotency_key: None,
            body: Some(self.body(plans, batch)),
        };
        match call.send(&self.http).await {
            Heard::Answer { status: 200, body, .. } if !(batch.is_whole && batch.has_bad_item) => {
                self.history.note("batch", Phase::Ok, Some(first.n), body.clone());
                self.note_results(plans, batch, &body, began, &edge)
            }
            Heard::Answer { status: 422, .. } if batch.is_whole && batch.has_bad_item => {
                self.history.note("batch", Phase::Ok, Some(first.n), json!("refused"));
                Tried::Refused
            }
            Heard::NotSent(error) => {
                self.trouble("batch", Phase::Fail, first, json!(error));
                Tried::NotDone
            }
            Heard::Answer { status, body, .. }
                if status == 503 || (status == 409 && batch.is_keyed) =>
            {
                self.trouble("batch", Phase::Unknown, first, body);
                Tried::Unknown
            }
            Heard::Nothing(error) => {
                self.trouble("batch", Phase::Unknown, first, json!(error));
                Tried::Unknown
            }
            Heard::Answer { status, body, .. } => {
                let what = format!("a batch of {} was answered {status} {body}", first.name());
                self.blame(Invariant::Api, what);
                Tried::Unknown
            }
        }
    }

    fn body(&self, plans: &[Plan], batch: Batch) -> Value {
        let mut jobs: Vec<Value> = plans.iter().map(Plan::body).collect();
        if batch.is_keyed {
            for (plan, job) in plans.iter().zip(&mut jobs) {
                job["idempotency_key"] = json!(format!("campaign-batch-{}-{}", self.seed, plan.n));
            }
        }
        if batch.has_bad_item {
            jobs.push(json!({ "name": "" }));
        }
        json!({ "jobs": jobs, "all_or_nothing": batch.is_whole })
    }

    /// Notes which of the jobs were accepted.
    fn note_results(
        &self,
        plans: &[Plan],
        batch: Batch,
        body: &Value,
        began: Instant,
        edge: &str,
    ) -> Tried {
        let results = body["results"].as_array().cloned().unwrap_or_default();
        let mut accepted = 0;
        for (plan, result) in plans.iter().zip(&results) {
            if result["status"] == 201
                && let Some(job) = self.accepted_job(plan, &result["job"])
            {
                self.history.accepted(plan.n, job, began, edge);
                accepted += 1;
            }
        }
        // Its key is in use, or the ledger was lost half-way: another try may do better.
        let may_pass = |result: &&Value| {
            result["status"] == 503 || (batch.is_keyed && result["status"] == 409)
        };
        let postponed = results.iter().filter(may_pass).count();
        let refused = results.iter().filter(|result| result["status"] == 422).count();
        if accepted + postponed != plans.len() || refused != usize::from(batch.has_bad_item) {
            let what = format!("a batch of {} was answered {body}", plans.len());
            self.blame(Invariant::Api, what);
        }
        if postponed == 0 { Tried::Answered } else { Tried::Unknown }
    }
}

/// What one try of a batch brought.
enum Tried {
    /// What became of each job is known.
    Answered,
    /// None of it is ever carried out.
    Refused,
    /// Certainly nothing.
    NotDone,
    /// Some or all of it may have been carried out.
    Unknown,
}
