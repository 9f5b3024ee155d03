//! The address that clients know: each request becomes an invocation of an
//! instance that is free.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use super::answer::response;
use super::event::{Arrival, event};
use super::instance::{Instance, NoAnswer};
use super::runtime_api::listen;

/// The longest request that a function is invoked with.
const REQUEST_LIMIT: usize = 6 * 1024 * 1024;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until an instance is free. A request that waits longer is answered 503.
    pub wait: Duration,
    /// Until the instance answers. A request that waits longer is answered 504,
    /// and the instance is killed.
    pub answer: Duration,
}

/// A gateway before some instances. Dropping it stops it.
///
/// A request is answered 502 if the instance that has it ends, fails, or answers
/// what is no answer.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    floor: Arc<Floor>,
    _serving: JoinSet<()>,
}

/// What requests share.
#[derive(Debug)]
struct Floor {
    instances: Vec<Arc<Instance>>,
    limits: Limits,
    rests: Arc<Notify>,
    answered: Mutex<BTreeMap<u16, u64>>,
    /// An invocation goes on when its client hangs up.
    calls: TaskTracker,
}

impl Gateway {
    /// A gateway before `count` instances, each to be [filled](Instance::fill).
    ///
    /// # Errors
    ///
    /// If there is no port to listen on.
    pub async fn start(count: usize, limits: Limits) -> io::Result<Self> {
        let rests = Arc::new(Notify::new());
        let mut instances = Vec::with_capacity(count);
        for _ in 0..count {
            instances.push(Arc::new(Instance::start(Arc::clone(&rests)).await?));
        }
        let (answered, calls) = (Mutex::default(), TaskTracker::new());
        let floor = Arc::new(Floor { instances, limits, rests, answered, calls });
        let router = Router::new().fallback(serve).with_state(Arc::clone(&floor));
        let mut serving = JoinSet::new();
        let address = listen(router, &mut serving).await?;
        Ok(Self { address, floor, _serving: serving })
    }

    /// Where clients send their requests.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The instances, in an order that does not change.
    #[must_use]
    pub fn instances(&self) -> &[Arc<Instance>] {
        &self.floor.instances
    }

    /// How many requests were answered with which status so far.
    #[must_use]
    pub fn answered(&self) -> BTreeMap<u16, u64> {
        self.floor.answered().clone()
    }
}

async fn serve(State(floor): State<Arc<Floor>>, request: Request) -> Response {
    let calls = floor.calls.clone();
    let response = calls.spawn(async move {
        let response = floor.answer(request).await;
        *floor.answered().entry(response.status().as_u16()).or_default() += 1;
        response
    });
    response.await.unwrap_or_else(|error| told(StatusCode::BAD_GATEWAY, &error.to_string()))
}

impl Floor {
    fn answered(&self) -> MutexGuard<'_, BTreeMap<u16, u64>> {
        self.answered.lock().unwrap()
    }

    async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, REQUEST_LIMIT).await else {
            return told(StatusCode::PAYLOAD_TOO_LARGE, "the request is too long, or not whole");
        };
        let arrival = Arrival { at: now(), from: [127, 0, 0, 1].into() };
        let event = event(&parts, &body, arrival).to_string();
        match self.invoke_any(&event).await {
            Ok(answer) => response(&answer)
                .unwrap_or_else(|error| told(StatusCode::BAD_GATEWAY, &format!("{error:#}"))),
            Err(error) => told(status(&error), &error.to_string()),
        }
    }

    async fn invoke_any(&self, event: &str) -> Result<axum::body::Bytes, NoAnswer> {
        let deadline = Instant::now() + self.limits.wait;
        loop {
            let free = timeout_at(deadline, self.free()).await.map_err(|_| NoAnswer::NotFree)?;
            match free.invoke(event.to_owned(), self.limits.answer).await {
                // Another request was faster.
                Err(NoAnswer::NotFree) => {}
                done => return done,
            }
        }
    }

    /// The instance that has been frozen the longest, once one is.
    async fn free(&self) -> &Instance {
        loop {
            let rested = self.rests.notified();
            let free = self.instances.iter().filter_map(|one| Some((one.rested()?, one)));
            if let Some((_, instance)) = free.max_by_key(|(rested, _)| *rested) {
                return instance;
            }
            rested.await;
        }
    }
}

const fn status(error: &NoAnswer) -> StatusCode {
    match error {
        NoAnswer::NotFree => StatusCode::SERVICE_UNAVAILABLE,
        NoAnswer::Failed(_) | NoAnswer::Ended(_) => StatusCode::BAD_GATEWAY,
        NoAnswer::Silent(_) => StatusCode::GATEWAY_TIMEOUT,
    }
}

fn told(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({ "message": message }))).into_response()
}

#[expect(clippy::disallowed_methods, reason = "the gateway's clock is the system's")]
fn now() -> chrono::DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[tokio::test]
    async fn a_request_waits_for_an_instance_only_so_long() {
        let briefly = Duration::from_millis(20);
        let gateway = Gateway::start(1, Limits { wait: briefly, answer: briefly }).await.unwrap();
        let response = gateway.floor.answer(Request::new(Body::empty())).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
