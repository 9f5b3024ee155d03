//! `POST /jobs`: accepts a job.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jetlane_core::domain::{JobId, NewJob, RunAt, TenantName, Tool};
use serde_json::{Map, Value};
use std::num::NonZeroI32;
use uuid::{ContextV7, Timestamp, Uuid};

use super::view::{BaseUrl, with_urls};
use crate::app::App;
use crate::fields::Fields;
use crate::problem::ApiError;
use crate::reader::{JsonObject, LANE_RULE, Tenant, Traceparent};

/// How many attempts a job has unless it says otherwise.
const DEFAULT_MAX_ATTEMPTS: NonZeroI32 = NonZeroI32::new(3).expect("three is not zero");

pub(super) const NAME_LIMIT: usize = 512;
pub(super) const SUBMITTER_LIMIT: usize = 256;
const KEY_LIMIT: usize = 256;

/// 201 with the whole job, once it is committed: from then on it is never lost.
/// After a 503 it may or may not have been accepted.
pub(crate) async fn submit(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Traceparent(traceparent): Traceparent,
    base: BaseUrl,
    JsonObject(body): JsonObject,
) -> Result<Response, ApiError> {
    let id = new_id(&app);
    let new = read(body, id, tenant, traceparent)?;

    let acceptor = app.clone();
    let accept = async move {
        let accepted = acceptor.ledger.accept(new).await?;
        acceptor.metrics.jobs_created.inc();
        acceptor.announce(accepted.change).await;
        Ok(accepted.job)
    };
    let job = app.whole(accept).await?;

    let view = with_urls(&job, &base)?;
    Ok((StatusCode::CREATED, [(header::LOCATION, base.job(id))], Json(view)).into_response())
}

/// Ids made by one process sort in the order in which they were made, also
/// within a millisecond.
fn new_id(app: &App) -> JobId {
    static CONTEXT: std::sync::Mutex<ContextV7> = std::sync::Mutex::new(ContextV7::new());

    let now = app.clock.now();
    let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
    let timestamp = Timestamp::from_unix(&CONTEXT, seconds, now.timestamp_subsec_nanos());
    JobId(Uuid::new_v7(timestamp))
}

fn read(
    body: Map<String, Value>,
    id: JobId,
    tenant: TenantName,
    traceparent: Option<String>,
) -> Result<NewJob, ApiError> {
    let mut fields = Fields::new(body);
    let name = fields.text("name", NAME_LIMIT);
    let name = fields.require("name", name).unwrap_or_default();
    let tools: Vec<_> = Tool::ALL.iter().map(|tool| tool.as_str()).collect();
    let new = NewJob {
        id,
        tenant,
        name,
        lane: fields.spelled("lane", LANE_RULE).unwrap_or_default(),
        tool: fields
            .spelled("tool", format!("must be one of {}", tools.join(", ")))
            .unwrap_or_default(),
        params: fields.params("params").unwrap_or_default(),
        priority: fields.integer("priority").unwrap_or_default(),
        submitted_by: fields.nullable_text("submitted_by", SUBMITTER_LIMIT).flatten(),
        run_at: fields.time("run_at").map_or(RunAt::Now, RunAt::At),
        timeout: fields.seconds("timeout"),
        max_attempts: fields.attempts("max_attempts").unwrap_or(DEFAULT_MAX_ATTEMPTS),
        concurrency_key: fields.nullable_text("concurrency_key", KEY_LIMIT).flatten(),
        traceparent,
    };
    fields.finish()?;
    Ok(new)
}
