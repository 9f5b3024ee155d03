//! An operator, who changes what lanes allow while jobs run.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Clients;
use super::call::{Call, Heard};
use super::clients::KEYED_LIMIT;
use crate::chance::{Use, chance};
use crate::history::Phase;
use crate::violations::Invariant;
use crate::world::{LANES, TENANTS};

impl Clients {
    /// Changes what the lanes allow, over and over until told to stop. None of
    /// it keeps jobs for long. Call [`Self::resume_all`] once all is up again.
    pub(crate) async fn operate(&self, stop: CancellationToken) {
        let mut rng = chance(self.seed, Use::Operator, 0);
        // An edge that is frozen carries a pause out later, after it was resumed.
        let mut unsure: HashSet<&'static str> = HashSet::new();
        loop {
            let pause = Duration::from_millis(rng.random_range(500..3_000));
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
            for lane in &unsure {
                self.resume(lane, &mut rng).await;
            }
            let lane = *LANES.choose(&mut rng).expect("there are lanes");
            match rng.random_range(0..4) {
                0 => {
                    if !self
                        .order(Method::POST, &format!("/lanes/{lane}/pause"), None, &mut rng)
                        .await
                    {
                        unsure.insert(lane);
                    }
                    sleep(Duration::from_millis(rng.random_range(50..400))).await;
                    self.resume(lane, &mut rng).await;
                }
                1 => {
                    // Far more than the load needs: what is tried is that it is kept count of.
                    let per_second = rng.random_range(1_000..5_000);
                    let rate = rng.random_bool(0.7).then(
                        || json!({ "per_second": per_second, "burst": rng.random_range(20..200) }),
                    );
                    self.patch(lane, json!({ "rate": rate }), &mut rng).await;
                }
                2 => {
                    let ageing = rng.random_bool(0.7).then(|| rng.random_range(1..60));
                    self.patch(lane, json!({ "ageing": ageing }), &mut rng).await;
                }
                _ => {
                    let tenant = TENANTS.choose(&mut rng).expect("there are tenants");
                    let share = json!({ "weight": rng.random_range(1..10) });
                    let path = format!("/lanes/{lane}/shares/{tenant}");
                    self.order(Method::PUT, &path, Some(share), &mut rng).await;
                }
            }
        }
    }

    /// Has every lane give out its jobs.
    pub(crate) async fn resume_all(&self) {
        let mut rng = chance(self.seed, Use::Operator, 1);
        for lane in LANES {
            self.resume(lane, &mut rng).await;
        }
    }

    /// Resumes a lane, for sure.
    async fn resume(&self, lane: &str, rng: &mut StdRng) {
        let deadline = Instant::now() + KEYED_LIMIT;
        while !self.order(Method::POST, &format!("/lanes/{lane}/resume"), None, rng).await {
            if Instant::now() >= deadline {
                let what = format!("lane {lane} could not be resumed for {KEYED_LIMIT:?}");
                return self.blame(Invariant::Api, what);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn patch(&self, lane: &str, patch: Value, rng: &mut StdRng) {
        self.order(Method::PATCH, &format!("/lanes/{lane}"), Some(patch), rng).await;
    }

    /// Returns whether it was answered with success.
    async fn order(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        rng: &mut StdRng,
    ) -> bool {
        let told = json!({ "path": path, "body": body });
        self.history.note("operator", Phase::Invoke, None, told);
        let url = format!("{}{path}", self.any_edge(rng));
        let call = Call { method, url, tenant: TENANTS[0], idempotency_key: None, body };
        let (phase, more) = match call.send(&self.http).await {
            Heard::Answer { status: 200, .. } => (Phase::Ok, Value::Null),
            Heard::NotSent(error) => (Phase::Fail, json!(error)),
            Heard::Nothing(error) => (Phase::Unknown, json!(error)),
            Heard::Answer { status: 503, body, .. } => (Phase::Unknown, body),
            Heard::Answer { status, body, .. } => {
                self.blame(Invariant::Api, format!("{path} was answered {status} {body}"));
                (Phase::Unknown, body)
            }
        };
        self.history.note("operator", phase, None, more);
        phase == Phase::Ok
    }
}
