//! `POST /jobs:batch`: accepts many jobs at once.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jetlane_core::domain::{NewJob, TenantName};
use jetlane_core::store::{Acceptance, Refused, StoreError};
use serde_json::{Map, Value, json};

use super::describe::{SUBMITTED, describe, new_id, under_key};
use super::view::{BaseUrl, with_urls};
use crate::app::App;
use crate::fields::Fields;
use crate::problem::{ApiError, Violation};
use crate::reader::{
    AnyJsonObject, IDEMPOTENCY_KEY_LIMIT, IDEMPOTENCY_KEY_RULE, Tenant, Traceparent,
    is_idempotency_key, nuls,
};

/// The most jobs of a batch.
const MOST_JOBS: usize = 1000;

/// The longest body of a batch: what API Gateway and Lambda pass on, too.
const BODY_LIMIT: usize = 6 * 1024 * 1024;

/// 200 with a result for each job, in their order: its status, and the job or
/// a problem. Jobs with status 201 are committed.
///
/// With `all_or_nothing`, either all are accepted or the whole request is
/// answered with why not.
pub(crate) async fn submit_batch(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Traceparent(traceparent): Traceparent,
    base: BaseUrl,
    AnyJsonObject(body): AnyJsonObject<BODY_LIMIT>,
) -> Result<Response, ApiError> {
    let mut fields = Fields::new(body);
    let is_whole = fields.flag("all_or_nothing").unwrap_or_default();
    let items = fields.items("jobs", MOST_JOBS);
    let items = fields.require("jobs", items).unwrap_or_default();
    fields.finish()?;

    let read = items.into_iter().enumerate().map(|(place, item)| {
        let new = read_item(&app, place, item, &tenant)?;
        Ok(NewJob { traceparent: traceparent.clone(), ..new })
    });
    if is_whole {
        let new = read.collect::<Result<Vec<_>, Violations>>().map_err(ApiError::Invalid)?;
        let answers = accept_all(&app, new).await?;
        return results(answers.into_iter().map(Ok), &base);
    }

    let read: Vec<Result<NewJob, Violations>> = read.collect();
    let sound: Vec<_> = read.iter().filter_map(|item| item.as_ref().ok().cloned()).collect();
    let mut answers = if sound.is_empty() {
        Vec::new()
    } else {
        let acceptor = app.clone();
        app.whole(async move {
            let (answers, change) = acceptor.ledger.accept(sound).await?;
            acceptor.metrics.note_accepted(&answers);
            acceptor.announce(change).await;
            Ok(answers)
        })
        .await?
    }
    .into_iter();
    let answers = read.into_iter().filter_map(|item| match item {
        Ok(_) => answers.next().map(Ok),
        Err(violations) => Some(Err(ApiError::Invalid(violations))),
    });
    results(answers, &base)
}

type Violations = Vec<Violation>;

fn read_item(
    app: &App,
    place: usize,
    item: Value,
    tenant: &TenantName,
) -> Result<NewJob, Violations> {
    let pointer = format!("/jobs/{place}");
    let Value::Object(object) = item else {
        return Err(vec![Violation::at(pointer, "must be an object")]);
    };
    let nuls = nuls(&pointer, &object);
    if !nuls.is_empty() {
        return Err(nuls);
    }
    let mut fields = Fields::at(pointer, object);
    let key = fields.text("idempotency_key", IDEMPOTENCY_KEY_LIMIT);
    let key = match key {
        Some(key) if !is_idempotency_key(&key) => {
            fields.violate("idempotency_key", IDEMPOTENCY_KEY_RULE)
        }
        key => key,
    };
    let new = describe(&mut fields, new_id(app), tenant.clone());
    match fields.finish() {
        Ok(()) => Ok(match key {
            Some(key) => under_key(new, key),
            None => new,
        }),
        Err(ApiError::Invalid(violations)) => Err(violations),
        Err(other) => Err(vec![Violation::at(format!("/jobs/{place}"), other.to_string())]),
    }
}

/// Accepts all or none.
async fn accept_all(app: &App, new: Vec<NewJob>) -> Result<Vec<Acceptance>, ApiError> {
    let acceptor = app.clone();
    app.whole(async move {
        match acceptor.ledger.accept_all(new).await {
            Ok((answers, change)) => {
                acceptor.metrics.note_accepted(&answers);
                acceptor.announce(change).await;
                Ok(answers)
            }
            Err(StoreError::NotAll(answers)) => Err(why_not(answers)),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

/// Why a batch was refused as a whole: all that can be mended in the request,
/// or what the caller has to wait for.
fn why_not(answers: Vec<Acceptance>) -> ApiError {
    let mut violations = Vec::new();
    let mut full = None;
    for (place, answer) in answers.into_iter().enumerate() {
        let Acceptance::Refused(refused) = answer else { continue };
        match refusal(place, refused) {
            ApiError::Invalid(more) => violations.extend(more),
            ApiError::WithTheOthers => {}
            other => full = Some(other),
        }
    }
    match full {
        Some(full) if violations.is_empty() => full,
        _ => ApiError::Invalid(violations),
    }
}

/// Why one job is not accepted, told with its place in the batch.
fn refusal(place: usize, refused: Refused) -> ApiError {
    let at = |name, detail| {
        ApiError::Invalid(vec![Violation::at(format!("/jobs/{place}/{name}"), detail)])
    };
    match refused {
        Refused::UnknownLane(lane) => at("lane", format!("there is no lane `{lane}`")),
        Refused::KeyReused => at("idempotency_key", ApiError::KeyReused.to_string()),
        other @ (Refused::LaneFull { .. }
        | Refused::KeyInUse
        | Refused::Untakable
        | Refused::Unavailable
        | Refused::WithTheOthers) => other.into(),
    }
}

fn results(
    answers: impl Iterator<Item = Result<Acceptance, ApiError>>,
    base: &BaseUrl,
) -> Result<Response, ApiError> {
    let (mut accepted, mut refused) = (0, 0);
    let mut results = Vec::new();
    for (place, answer) in answers.enumerate() {
        let error = match answer {
            Ok(Acceptance::Accepted(job)) => {
                accepted += 1;
                let job = with_urls(&job, base)?;
                results.push(json!({ "status": SUBMITTED.as_u16(), "job": job }));
                continue;
            }
            Ok(Acceptance::Repeated(job)) => {
                accepted += 1;
                let job = with_urls(&job, base)?;
                results.push(json!({ "status": SUBMITTED.as_u16(), "replayed": true, "job": job }));
                continue;
            }
            Ok(Acceptance::Refused(refused)) => refusal(place, refused),
            Err(error) => error,
        };
        refused += 1;
        let problem = error.into_item();
        results.push(json!({ "status": problem["status"], "problem": problem }));
    }
    let mut body = Map::new();
    body.insert("accepted".into(), json!(accepted));
    body.insert("refused".into(), json!(refused));
    body.insert("results".into(), json!(results));
    Ok(Json(Value::Object(body)).into_response())
}
