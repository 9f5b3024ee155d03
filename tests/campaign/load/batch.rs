//! Clients that submit many jobs in one request.

use std::time::Instant;

use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};

use super::call::{Call, Heard};
use super::{Clients, Plan};
use crate::chance::{Use, chance};
use crate::history::{Phase, Standing};
use crate::violations::Invariant;

/// How many jobs a batch has.
const JOBS: usize = 8;

impl Clients {
    /// Submits the next plans of the mixed load in one request: of one tenant,
    /// without keys of their own, so that nobody asks again. Half of them
    /// are to be accepted as a whole or not at all; the others have one item
    /// that cannot be accepted.
    pub(crate) async fn drive_batch(&self) {
        let plans: Vec<Plan> = (0..JOBS).map(|_| self.for_a_batch()).collect();
        let mut rng = chance(self.seed, Use::Client, plans[0].n.into());
        let is_whole = rng.random_bool(0.5);
        let mut jobs: Vec<Value> = plans.iter().map(Plan::body).collect();
        if is_whole {
            self.history.begin_whole(plans.iter().map(|plan| plan.n).collect());
        } else {
            jobs.push(json!({ "name": "" }));
        }
        let body = json!({ "jobs": jobs, "all_or_nothing": is_whole });
        let standing = self.try_batch(&plans, body, is_whole, &mut rng).await;
        for plan in &plans {
            self.history.gave_up(plan.n, standing);
        }
    }

    fn for_a_batch(&self) -> Plan {
        self.history.begin(|n| {
            let plan = self.plan(n);
            let tenant = crate::world::TENANTS[0];
            Plan { tenant, idempotency_key: None, is_doubled: false, then: Vec::new(), ..plan }
        })
    }

    /// What is known of those of the plans that were not accepted.
    async fn try_batch(
        &self,
        plans: &[Plan],
        body: Value,
        is_whole: bool,
        rng: &mut StdRng,
    ) -> Standing {
        let (began, edge) = (Instant::now(), self.any_edge(rng));
        let first = &plans[0];
        self.history.note("batch", Phase::Invoke, Some(first.n), json!({ "edge": edge }));
        let call = Call {
            method: Method::POST,
            url: format!("{edge}/jobs:batch"),
            tenant: first.tenant,
            idempotency_key: None,
            body: Some(body),
        };
        match call.send(&self.http).await {
            Heard::Answer { status: 200, body, .. } => {
                let results = body["results"].as_array().cloned().unwrap_or_default();
                for (plan, result) in plans.iter().zip(&results) {
                    let job = self.accepted_job(plan, &result["job"]);
                    if let Some(job) = job.filter(|_| result["status"] == 201) {
                        self.history.accepted(plan.n, job, began, &edge);
                    }
                }
                let refused = results.iter().filter(|result| result["status"] == 422).count();
                if results.len() - refused != plans.len() || (refused == 0) != is_whole {
                    let what = format!("a batch of {} was answered {body}", plans.len());
                    self.blame(Invariant::Api, what);
                }
                self.history.note("batch", Phase::Ok, Some(first.n), json!(results.len()));
                Standing::Unknown
            }
            Heard::NotSent(error) => {
                self.trouble("batch", Phase::Fail, first, json!(error));
                Standing::NotDone
            }
            Heard::Answer { status: 503, body, .. } => {
                self.trouble("batch", Phase::Unknown, first, body);
                Standing::Unknown
            }
            Heard::Nothing(error) => {
                self.trouble("batch", Phase::Unknown, first, json!(error));
                Standing::Unknown
            }
            Heard::Answer { status, body, .. } => {
                let what = format!("a batch of {} was answered {status} {body}", first.name());
                self.blame(Invariant::Api, what);
                Standing::Unknown
            }
        }
    }
}
