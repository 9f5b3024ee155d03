//! `/health` and `/metrics`.

use anyhow::Context;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use jetlane_core::telemetry::{self, METRICS_CONTENT_TYPE};
use prometheus::Registry;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Listens on `host`, on `port` or, if that is 0, on a free one.
///
/// # Errors
///
/// If the address is none or taken.
pub(crate) async fn listen(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind((host, port))
        .await
        .with_context(|| format!("cannot listen on {host}:{port}"))?;
    let address = listener.local_addr().context("cannot tell the address listened on")?;
    tracing::info!(%address, "serving health and metrics");
    Ok(listener)
}

/// Serves until `stop`, and then what was asked before.
pub(crate) async fn serve(listener: TcpListener, registry: Registry, stop: CancellationToken) {
    let served = axum::serve(listener, router(registry).into_make_service())
        .with_graceful_shutdown(stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "cannot serve health and metrics any more");
    }
}

fn router(registry: Registry) -> Router {
    Router::new().route("/health", get(health)).route("/metrics", get(metrics)).with_state(registry)
}

/// `GET /health`: the process is alive. Says nothing about the ledger or NATS,
/// since a restart of this process would mend neither.
async fn health() -> impl IntoResponse {
    Json(json!({ "status": "healthy", "service": "jetlane-worker" }))
}

/// `GET /metrics`, in the Prometheus text format.
async fn metrics(State(registry): State<Registry>) -> impl IntoResponse {
    let text = telemetry::render(&registry).unwrap_or_else(|error| {
        tracing::error!(%error, "cannot render metrics");
        String::new()
    });
    ([("content-type", METRICS_CONTENT_TYPE)], text)
}
