//! `POST /jobs`: accepts a job.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use jetlane_core::domain::{Job, NewJob};
use jetlane_core::store::Acceptance;

use super::describe::{SUBMITTED, describe, new_id, under_key};
use super::view::{BaseUrl, with_urls};
use crate::app::App;
use crate::fields::Fields;
use crate::problem::ApiError;
use crate::reader::{IdempotencyKey, JsonObject, Tenant, Traceparent};

/// On an answer that was given before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// 201 with the whole job, once it is committed: from then on it is never lost.
///
/// With an idempotency key, the same request again is answered as the first
/// was; another request under the same key is a 422. After a 503 the job may or
/// may not have been accepted: with a key, ask again.
pub(crate) async fn submit(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Traceparent(traceparent): Traceparent,
    IdempotencyKey(key): IdempotencyKey,
    base: BaseUrl,
    JsonObject(body): JsonObject,
) -> Result<Response, ApiError> {
    let mut fields = Fields::new(body);
    let new = describe(&mut fields, new_id(&app), tenant);
    fields.finish()?;
    let new = NewJob { traceparent, ..new };
    let new = match key {
        None => new,
        Some(key) => under_key(new, key),
    };
    match app.accept(new).await? {
        Acceptance::Accepted(job) => created(&job, &base),
        Acceptance::Repeated(job) => {
            let mut response = created(&job, &base)?;
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            Ok(response)
        }
        Acceptance::Refused(refused) => Err(refused.into()),
    }
}

fn created(job: &Job, base: &BaseUrl) -> Result<Response, ApiError> {
    let view = with_urls(job, base)?;
    Ok((SUBMITTED, [(header::LOCATION, base.job(job.id))], Json(view)).into_response())
}
