//! Whether the process is alive, and whether it can serve.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jetlane_core::causes;
use jetlane_core::messaging::{Messaging, STREAM_COUNT};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::metrics::ApiMetrics;

/// How long the ledger may take to give a sign of life.
const LEDGER_LIMIT: Duration = Duration::from_secs(2);

/// How often JetStream is asked to store something.
const PROBE_PERIOD: Duration = Duration::from_secs(5);

/// Whether JetStream stored what it was asked to the last time. An open
/// connection says nothing of that.
#[derive(Clone, Debug)]
pub struct NatsHealth(Arc<AtomicBool>);

impl NatsHealth {
    /// Down until [`watch`](Self::watch) has seen it work.
    pub(crate) fn unproven() -> Self {
        Self(Arc::new(AtomicBool::new(false)))
    }

    /// As good as the connection, for a process that cannot probe beside its
    /// answers.
    pub(crate) fn as_connected() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Probes every 5 s, and whenever the connection changes, until `stop`.
    pub(crate) async fn watch(
        self,
        messaging: Messaging,
        metrics: ApiMetrics,
        stop: CancellationToken,
    ) {
        let mut link = messaging.link();
        let mut ticks = interval(PROBE_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
                Ok(()) = link.changed() => {}
            }
            let is_up = link.borrow_and_update().is_up && stores(&messaging).await;
            if self.0.swap(is_up, Ordering::Relaxed) != is_up {
                tracing::info!(is_up, "JetStream changed");
            }
            metrics.nats_up.set(i64::from(is_up));
        }
    }

    fn is_up(&self, messaging: &Messaging) -> bool {
        messaging.is_up() && self.0.load(Ordering::Relaxed)
    }
}

/// Whether JetStream has our streams and stores; those missing are made first.
async fn stores(messaging: &Messaging) -> bool {
    let is_whole =
        messaging.existing_streams().await.is_ok_and(|streams| streams.len() == STREAM_COUNT);
    if is_whole && messaging.prove().await.is_ok() {
        return true;
    }
    match messaging.declare_streams().await {
        Ok(()) => messaging.prove().await.is_ok(),
        Err(error) => {
            let error = anyhow::Error::new(error);
            tracing::warn!(error = causes(&error), "JetStream does not store");
            false
        }
    }
}

/// `GET /health`: the process is alive.
pub(crate) async fn health() -> Response {
    Json(json!({ "status": "healthy", "service": "jetlane" })).into_response()
}

/// `GET /ready`: whether to send requests here. With NATS down it can serve,
/// late: that is `degraded`, not down.
pub(crate) async fn ready(State(app): State<App>) -> Response {
    if app.drain.is_cancelled() {
        return unready("draining");
    }
    match timeout(LEDGER_LIMIT, app.ledger.is_current()).await {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => return unready("the ledger's schema is behind: run `jetlane migrate`"),
        Ok(Err(_)) | Err(_) => return unready("ledger down"),
    }
    let body = if app.nats.is_up(&app.messaging) {
        json!({ "status": "ready" })
    } else {
        json!({ "status": "degraded", "nats": "down" })
    };
    Json(body).into_response()
}

fn unready(reason: &str) -> Response {
    let body = json!({ "status": "unready", "reason": reason });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}
