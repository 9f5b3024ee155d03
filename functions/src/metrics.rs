//! What the API counts. Labels are bounded: route templates, never paths.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jetlane_core::store::Acceptance;
use jetlane_core::telemetry::{METRICS_CONTENT_TYPE, render};
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use crate::app::App;
use crate::problem::ApiError;

/// Counters and gauges of the API. Clones share them.
#[derive(Clone, Debug)]
pub struct ApiMetrics {
    /// Jobs accepted.
    pub jobs_created: IntCounter,
    /// Event streams open now.
    pub streams: IntGauge,
    /// Events sent to watchers, by how they came.
    pub events: IntCounterVec,
    /// Messages on the feed that are no events.
    pub foreign_messages: IntCounter,
    /// Watchers disconnected because they read too slowly.
    pub slow_watchers: IntCounter,
    /// 1 while streams were seen to work lately.
    pub nats_up: IntGauge,
    requests: HistogramVec,
}

impl ApiMetrics {
    /// Metrics known to `registry`.
    ///
    /// # Errors
    ///
    /// If the registry has some of these names already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let this = Self {
            jobs_created: IntCounter::new("jetlane_jobs_created_total", "Jobs accepted")?,
            streams: IntGauge::new("jetlane_event_streams", "Event streams open now")?,
            events: IntCounterVec::new(
                Opts::new("jetlane_events_total", "Events handed to watchers, by source"),
                &["source"],
            )?,
            foreign_messages: IntCounter::new(
                "jetlane_foreign_messages_total",
                "Messages on the feed that are no events",
            )?,
            slow_watchers: IntCounter::new(
                "jetlane_slow_watchers_total",
                "Watchers disconnected because they read too slowly",
            )?,
            nats_up: IntGauge::new("jetlane_nats_up", "1 while JetStream stores messages")?,
            requests: HistogramVec::new(
                HistogramOpts::new(
                    "jetlane_http_request_duration_seconds",
                    "From a request's head to its answer's head",
                )
                .buckets(vec![0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]),
                &["method", "route", "status"],
            )?,
        };
        registry.register(Box::new(this.jobs_created.clone()))?;
        registry.register(Box::new(this.streams.clone()))?;
        registry.register(Box::new(this.events.clone()))?;
        registry.register(Box::new(this.foreign_messages.clone()))?;
        registry.register(Box::new(this.slow_watchers.clone()))?;
        registry.register(Box::new(this.nats_up.clone()))?;
        registry.register(Box::new(this.requests.clone()))?;
        Ok(this)
    }

    /// Counts the jobs that were accepted now.
    pub(crate) fn note_accepted(&self, answers: &[Acceptance]) {
        let new = answers.iter().filter(|answer| matches!(answer, Acceptance::Accepted(_)));
        self.jobs_created.inc_by(new.count() as u64);
    }
}

/// Times requests by route template.
pub(crate) async fn time(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    app.metrics
        .requests
        // Any token is a method to HTTP: only the known ones become labels.
        .with_label_values(&[known(&method), route, response.status().as_str()])
        .observe(began.elapsed().as_secs_f64());
    response
}

fn known(method: &axum::http::Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "POST" | "PUT" | "DELETE" | "HEAD" | "OPTIONS" | "PATCH") => known,
        _ => "other",
    }
}

/// `GET /metrics`: the process's metrics in the Prometheus text format.
pub(crate) async fn show(State(app): State<App>) -> Result<Response, ApiError> {
    let text = render(&app.registry).map_err(|error| ApiError::Internal(error.into()))?;
    Ok(([(header::CONTENT_TYPE, METRICS_CONTENT_TYPE)], text).into_response())
}
