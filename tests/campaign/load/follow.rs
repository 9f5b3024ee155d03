//! What clients do with a job once it is accepted.

use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use super::call::{Call, Heard};
use super::plan::{Then, number};
use super::{Clients, Plan};
use crate::history::{Cancel, Changed, Phase, Redrive};
use crate::violations::{Invariant, Violation};
use crate::world::TENANTS;

/// A cancel is tried again for so long.
const CANCEL_LIMIT: Duration = Duration::from_secs(30);

/// A job may take so long to fail.
const REDRIVE_LIMIT: Duration = Duration::from_secs(20);

impl Clients {
    /// Does with an accepted job what was planned.
    pub(super) async fn follow(&self, plan: &Plan, job: Uuid, rng: &mut StdRng) {
        for then in &plan.then {
            match then {
                Then::Read => self.read(plan, job, rng).await,
                Then::SubmitAgain => self.submit_again(plan, rng).await,
                Then::Change => self.change(plan, job, rng).await,
                Then::Redrive => self.redrive(plan, job, rng).await,
                Then::CancelAfter(after) => {
                    sleep(*after).await;
                    self.cancel(plan, job, rng).await;
                }
            }
        }
    }

    /// An accepted job is there at once, for its tenant and for no other.
    async fn read(&self, plan: &Plan, job: Uuid, rng: &mut StdRng) {
        let stranger = TENANTS.into_iter().find(|tenant| *tenant != plan.tenant);
        let path = format!("/jobs/{job}");
        let own = self.call(Method::GET, &path, plan.tenant, None, rng).await;
        match own {
            Heard::Answer { status: 200, .. } => {}
            Heard::Answer { status: 404, .. } => {
                let what = "it was accepted, and then there was no such job";
                self.history.blame(Violation::of(Invariant::Accepted, job, what));
            }
            heard => self.expect_trouble("read", plan, job, heard),
        }
        let Some(stranger) = stranger else { return };
        let other = self.call(Method::GET, &path, stranger, None, rng).await;
        match other {
            Heard::Answer { status: 404, .. } => {}
            Heard::Answer { status: 200, .. } => {
                let what = format!("{stranger} can read it; it is {}'s", plan.tenant);
                self.history.blame(Violation::of(Invariant::TenantsApart, job, what));
            }
            heard => self.expect_trouble("read", plan, job, heard),
        }
    }

    async fn change(&self, plan: &Plan, job: Uuid, rng: &mut StdRng) {
        let patch = json!({ "priority": plan.changed_priority() });
        let heard =
            self.call(Method::PUT, &format!("/jobs/{job}"), plan.tenant, Some(patch), rng).await;
        match heard {
            Heard::Answer { status: 200, .. } => {
                self.history.note("change", Phase::Ok, Some(plan.n), json!({ "job": job }));
                self.history.changed(plan.n, Changed::Done);
            }
            // It has started meanwhile.
            Heard::Answer { status: 409, .. } => {}
            heard => {
                self.history.changed(plan.n, Changed::Unknown);
                self.expect_trouble("change", plan, job, heard);
            }
        }
    }

    /// Gives a job another chance as soon as it has failed.
    async fn redrive(&self, plan: &Plan, job: Uuid, rng: &mut StdRng) {
        let deadline = Instant::now() + REDRIVE_LIMIT;
        let path = format!("/jobs/{job}/redrive");
        while Instant::now() < deadline {
            self.history.note("redrive", Phase::Invoke, Some(plan.n), json!({ "job": job }));
            match self.call(Method::POST, &path, plan.tenant, None, rng).await {
                Heard::Answer { status: 200, .. } => {
                    self.history.note("redrive", Phase::Ok, Some(plan.n), json!({ "job": job }));
                    return self.history.redriven(plan.n, Redrive::Done);
                }
                // It has not failed yet.
                Heard::Answer { status: 409, .. } => {}
                heard => {
                    // If it was carried out, another would be one too many.
                    self.history.redriven(plan.n, Redrive::Unknown);
                    return self.expect_trouble("redrive", plan, job, heard);
                }
            }
            sleep(Duration::from_millis(rng.random_range(100..300))).await;
        }
    }

    /// Cancels a job that the ledger knows by this name, as its client.
    pub(crate) async fn cancel_by_name(&self, job: Uuid, name: &str, rng: &mut StdRng) {
        let plan = number(name).and_then(|n| self.history.plan(n));
        if let Some(plan) = plan {
            self.cancel(&plan, job, rng).await;
        }
    }

    async fn cancel(&self, plan: &Plan, job: Uuid, rng: &mut StdRng) {
        let deadline = Instant::now() + CANCEL_LIMIT;
        let path = format!("/jobs/{job}/cancel");
        while Instant::now() < deadline {
            self.history.note("cancel", Phase::Invoke, Some(plan.n), json!({ "job": job }));
            let told = match self.call(Method::POST, &path, plan.tenant, None, rng).await {
                // Asked before, it may have ended well all the same.
                Heard::Answer { status: 200, body, .. } if body["state"] == "cancelled" => {
                    Cancel::Done
                }
                Heard::Answer { status: 200 | 202, .. } => Cancel::Promised,
                Heard::Answer { status: 409, .. } => Cancel::TooLate,
                heard => {
                    self.history.cancelled(plan.n, Cancel::Unknown);
                    self.expect_trouble("cancel", plan, job, heard);
                    sleep(Duration::from_millis(rng.random_range(100..600))).await;
                    continue;
                }
            };
            self.history.note("cancel", Phase::Ok, Some(plan.n), json!(format!("{told:?}")));
            self.history.cancelled(plan.n, told);
            return;
        }
    }

    /// No answer, or 503; anything else is a mistake of the product.
    fn expect_trouble(&self, what: &'static str, plan: &Plan, job: Uuid, heard: Heard) {
        match heard {
            Heard::NotSent(error) => self.trouble(what, Phase::Fail, plan, json!(error)),
            Heard::Nothing(error) => self.trouble(what, Phase::Unknown, plan, json!(error)),
            Heard::Answer { status: 503, body, .. } => {
                self.trouble(what, Phase::Unknown, plan, body);
            }
            Heard::Answer { status, body, .. } => {
                let what = format!("a {what} was answered {status} {body}");
                self.history.blame(Violation::of(Invariant::Api, job, what));
            }
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        tenant: &'static str,
        body: Option<Value>,
        rng: &mut StdRng,
    ) -> Heard {
        let url = format!("{}{path}", self.any_edge(rng));
        Call { method, url, tenant, idempotency_key: None, body }.send(&self.http).await
    }
}
