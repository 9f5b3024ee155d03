//! The two routes of watching.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
#[cfg(jetlane_mutants)]
use jetlane_core::config::Mutant;
use jetlane_core::domain::JobId;
use jetlane_core::store::FeedFilter;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Hub;
use super::watcher::{Past, Wish, watch};
use crate::app::{App, Watching};
use crate::problem::ApiError;
use crate::reader::{JobPath, LANE_RULE, Query, STATE_RULE, Tenant};

/// How long a watcher waits for the hub to find out where the ledger stands.
const START_LIMIT: Duration = Duration::from_secs(2);

/// The most jobs that one stream can name.
const MAX_JOBS: usize = 1_000;

/// `GET /events`: all events, or those that the query asks for. No past unless
/// asked for by `Last-Event-ID`, `?after=` or `?from=start`.
pub(crate) async fn all(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&["job_id", "lane", "state", "after", "from"])?;
    let job_ids: Vec<JobId> = query
        .all("job_id")
        .iter()
        .map(|id| id.parse().map_err(|_| ApiError::parameter("job_id", "a job's id is a UUID")))
        .collect::<Result<_, _>>()?;
    if job_ids.len() > MAX_JOBS {
        return Err(ApiError::parameter("job_id", format!("name at most {MAX_JOBS} jobs")));
    }
    let filter = FeedFilter {
        job_ids,
        lane: query.parsed("lane", LANE_RULE)?,
        state: query.parsed("state", STATE_RULE)?,
    };
    let past = past(&headers, &query)?.unwrap_or(Past::None);
    respond(app, Wish { tenant, filter, past }).await
}

/// `GET /jobs/{id}/events`: one job's events, from its first on unless asked
/// to go on from a later one.
pub(crate) async fn of_job(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    JobPath(id): JobPath,
    headers: HeaderMap,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&["after", "from"])?;
    if app.ledger.find(&tenant, id).await?.is_none() {
        return Err(ApiError::NotFound(format!("job {id}")));
    }
    let filter = FeedFilter { job_ids: vec![id], lane: None, state: None };
    let past = past(&headers, &query)?.unwrap_or(Past::All);
    respond(app, Wish { tenant, filter, past }).await
}

/// What is asked for of the past. The header wins: a browser that reconnects
/// repeats the query it began with.
fn past(headers: &HeaderMap, query: &Query) -> Result<Option<Past>, ApiError> {
    #[cfg(jetlane_mutants)]
    if Mutant::ResumeIgnored.is_on() && headers.contains_key("last-event-id") {
        return Ok(Some(Past::None));
    }
    let id = match headers.get("last-event-id").map(HeaderValue::to_str) {
        Some(Ok(text)) => Some(text),
        Some(Err(_)) => return Ok(Some(Past::AfterUnknown)),
        None => query.one("after")?,
    };
    if let Some(id) = id.filter(|id| !id.is_empty()) {
        return Ok(Some(id.parse().map_or(Past::AfterUnknown, Past::After)));
    }
    match query.one("from")? {
        None => Ok(None),
        Some("start") => Ok(Some(Past::All)),
        Some(_) => Err(ApiError::parameter("from", "must be start")),
    }
}

async fn respond(app: App, wish: Wish) -> Result<Response, ApiError> {
    let (hub, keep) = hub(&app).await?;
    if !hub.is_started_within(START_LIMIT).await {
        return Err(ApiError::Unavailable(anyhow::anyhow!("the ledger's feed was not read yet")));
    }
    let frames = watch(app, hub, wish, keep).map(Ok::<_, std::convert::Infallible>);
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(frames)).into_response())
}

/// The process's hub, or one for this stream that stops when the guard drops.
async fn hub(app: &App) -> Result<(Hub, Option<DropGuard>), ApiError> {
    match &app.watching {
        Watching::Shared(hub) => Ok((hub.clone(), None)),
        Watching::PerStream(tasks) => {
            let stop = CancellationToken::new();
            let (hub, run) = Hub::start(
                app.ledger.clone(),
                app.messaging.clone(),
                Arc::clone(&app.clock),
                app.metrics.clone(),
                stop.clone(),
            )
            .await
            .map_err(ApiError::Internal)?;
            tasks.spawn(run);
            Ok((hub, Some(stop.drop_guard())))
        }
    }
}
