//! The routes, whole and in the parts that Lambda functions mount.

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::json;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

use crate::app::App;
use crate::jobs::submit::REPLAYED;
use crate::problem::ApiError;
use crate::{dead_letters, events, health, jobs, lanes, metrics};

/// The whole API.
///
/// # Errors
///
/// If an origin is no header value.
pub fn router(app: App, cors_origins: &[String]) -> anyhow::Result<Router> {
    let routes = job_routes()
        .merge(event_routes())
        .merge(operator_routes())
        .route("/", get(index))
        .route("/metrics", get(metrics::show));
    finish(routes, app, cors_origins)
}

/// The part of the `jobs` function.
///
/// # Errors
///
/// As [`router`].
pub fn jobs_router(app: App, cors_origins: &[String]) -> anyhow::Result<Router> {
    finish(job_routes(), app, cors_origins)
}

/// The part of the `events` function.
///
/// # Errors
///
/// As [`router`].
pub fn events_router(app: App, cors_origins: &[String]) -> anyhow::Result<Router> {
    finish(event_routes(), app, cors_origins)
}

fn job_routes() -> Router<App> {
    Router::new()
        .route("/jobs", post(jobs::submit::submit).get(jobs::list::list))
        .route(
            "/jobs/{id}",
            get(jobs::show::show).put(jobs::update::update).delete(jobs::remove::remove),
        )
        .route("/jobs:batch", post(jobs::batch::submit_batch))
        .route("/jobs/{id}/attempts", get(jobs::attempts::attempts))
        .route("/jobs/{id}/redrive", post(jobs::redrive::redrive))
        .route("/dead-letters", get(dead_letters::list))
        .route("/dead-letters:redrive", post(dead_letters::redrive))
        .route("/dead-letters:purge", post(dead_letters::purge))
        .route("/jobs/{id}/cancel", post(jobs::cancel::cancel))
        .route("/jobs/{id}/result", get(jobs::result::result))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
}

fn operator_routes() -> Router<App> {
    Router::new()
        .route("/lanes", get(lanes::list))
        .route("/lanes/{lane}", get(lanes::show).patch(lanes::update))
        .route("/lanes/{lane}/pause", post(lanes::pause))
        .route("/lanes/{lane}/resume", post(lanes::resume))
        .route("/lanes/{lane}/shares/{tenant}", put(lanes::set_share))
        .route("/concurrency-keys/{key}", put(lanes::limit_concurrency))
}

fn event_routes() -> Router<App> {
    Router::new().route("/events", get(events::all)).route("/jobs/{id}/events", get(events::of_job))
}

fn finish(routes: Router<App>, app: App, cors_origins: &[String]) -> anyhow::Result<Router> {
    anyhow::ensure!(
        cors_origins.iter().all(|origin| origin != "*"),
        "CORS_ORIGINS cannot be `*`: browsers refuse it together with credentials, name the origins"
    );
    let origins =
        cors_origins.iter().map(|origin| origin.parse()).collect::<Result<Vec<_>, _>>()?;
    // Mirrored instead of `*`, which browsers ignore for requests with credentials.
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .allow_credentials(true)
        .expose_headers([header::LOCATION, header::LINK, header::RETRY_AFTER, REPLAYED])
        .max_age(std::time::Duration::from_mins(10));

    Ok(routes
        .fallback(async |request: Request| {
            ApiError::NotFound(format!("path {}", request.uri().path()))
        })
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(CatchPanicLayer::custom(|_| {
            ApiError::Internal(anyhow::anyhow!("a handler panicked")).into_response()
        }))
        .layer(from_fn_with_state(app.clone(), metrics::time))
        .layer(cors)
        .with_state(app))
}

/// `GET /`: what this is; a page for who asks for one.
async fn index(State(_): State<App>, request: Request) -> Response {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        return Html(include_str!("index.html")).into_response();
    }
    let body = json!({
        "name": "Jetlane",
        "version": env!("CARGO_PKG_VERSION"),
        "status": "running",
    });
    Json(body).into_response()
}
