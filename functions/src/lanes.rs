//! `/lanes` and `/concurrency-keys`: what operators decide about order and share.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jetlane_core::causes;
use jetlane_core::domain::{ConcurrencyLimit, Lane, LaneName, LanePatch, Rate, RetryPolicy, Share};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::fields::Fields;
use crate::jobs::describe::retry;
use crate::problem::{ApiError, Place, Violation};
use crate::reader::{JsonObject, KeyPath, LanePath, Tenant};

/// The most starts per second that a limit can be: more is none.
const FASTEST: f64 = 100_000.0;

/// The most jobs of a concurrency key at once: they are let go together.
const MOST_AT_ONCE: i32 = 10_000;

/// How many batches are ranked anew at once after a change of a lane's ageing; a duty does the rest.
const ROUNDS: usize = 5;

/// 200 with all lanes and their policies, by name.
pub(crate) async fn list(State(app): State<App>) -> Result<Json<Vec<Lane>>, ApiError> {
    Ok(Json(app.ledger.lanes().await?))
}

/// 200 with the lane and its policy, or 404.
pub(crate) async fn show(
    State(app): State<App>,
    LanePath(name): LanePath,
) -> Result<Json<Lane>, ApiError> {
    found(&app, &name).await.map(Json)
}

/// 200 with the lane, which is made unless it is there, and whose policy is
/// changed: fields that are not given stay, null takes a rule away.
pub(crate) async fn update(
    State(app): State<App>,
    LanePath(name): LanePath,
    JsonObject(body): JsonObject,
) -> Result<Json<Lane>, ApiError> {
    let patch = read_patch(body)?;
    let is_ageing_changed = patch.ageing.is_some();
    let (changer, lane) = (app.clone(), name.clone());
    app.whole(async move {
        let change = changer.ledger.update_lane(&lane, patch).await?;
        changer.announce(change).await;
        if is_ageing_changed && let Err(error) = changer.rank_anew(&lane, ROUNDS).await {
            let error = anyhow::Error::new(error);
            tracing::warn!(error = causes(&error), "cannot rank anew; a duty does it");
        }
        Ok(())
    })
    .await?;
    found(&app, &name).await.map(Json)
}

/// 200 with the lane: no job of it is started until it is resumed.
pub(crate) async fn pause(
    State(app): State<App>,
    LanePath(name): LanePath,
) -> Result<Json<Lane>, ApiError> {
    app.ledger.pause_lane(&name).await?;
    found(&app, &name).await.map(Json)
}

/// 200 with the lane, whose jobs are started again.
pub(crate) async fn resume(
    State(app): State<App>,
    LanePath(name): LanePath,
) -> Result<Json<Lane>, ApiError> {
    let (changer, lane) = (app.clone(), name.clone());
    app.whole(async move {
        let change = changer.ledger.resume_lane(&lane).await?;
        changer.announce(change).await;
        Ok(())
    })
    .await?;
    found(&app, &name).await.map(Json)
}

/// 200 with the lane, of which the tenant gets this share from now on:
/// `{"weight": 1..1000}`.
pub(crate) async fn set_share(
    State(app): State<App>,
    LanePath(name): LanePath,
    Path(path): Path<Map<String, Value>>,
    JsonObject(body): JsonObject,
) -> Result<Json<Lane>, ApiError> {
    let tenant = path.get("tenant").and_then(Value::as_str).unwrap_or_default();
    let tenant = tenant.parse().map_err(|error: jetlane_core::domain::InvalidName| {
        ApiError::Invalid(vec![Violation {
            place: Place::Path("tenant"),
            detail: error.to_string(),
        }])
    })?;
    let mut fields = Fields::new(body);
    let weight = fields.nullable_integer("weight", 1..=1000).flatten();
    let weight = fields.require("weight", weight).unwrap_or(1);
    fields.finish()?;
    found(&app, &name).await?;
    app.ledger.set_share(&name, &Share { tenant, weight }).await?;
    found(&app, &name).await.map(Json)
}

/// 200 with the limit of the tenant's concurrency key: `{"limit": 0..}` jobs at
/// once, or `{"sequential": true}`.
pub(crate) async fn limit_concurrency(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    KeyPath(key): KeyPath,
    JsonObject(body): JsonObject,
) -> Result<Response, ApiError> {
    let mut fields = Fields::new(body);
    let most = fields.nullable_integer("limit", 0..=MOST_AT_ONCE).flatten();
    let is_sequential = fields.flag("sequential").unwrap_or_default();
    let limit = match (most, is_sequential) {
        (None, true) => Some(ConcurrencyLimit::Sequential),
        (Some(most), false) => Some(ConcurrencyLimit::Parallel(most)),
        (Some(_), true) => fields.violate("limit", "a sequential key has no other limit"),
        (None, false) => None,
    };
    let limit = fields.require("limit", limit).unwrap_or(ConcurrencyLimit::Parallel(1));
    fields.finish()?;

    let (changer, name) = (app.clone(), key.clone());
    app.whole(async move {
        let change = changer.ledger.limit_concurrency(&tenant, name, limit).await?;
        changer.announce(change).await;
        Ok(())
    })
    .await?;
    let (most, is_sequential) = match limit {
        ConcurrencyLimit::Parallel(most) => (most, false),
        ConcurrencyLimit::Sequential => (1, true),
    };
    let body = json!({ "key": key, "limit": most, "sequential": is_sequential });
    Ok((StatusCode::OK, Json(body)).into_response())
}

async fn found(app: &App, name: &LaneName) -> Result<Lane, ApiError> {
    let lane = app.ledger.lane(name).await?;
    lane.ok_or_else(|| ApiError::NotFound(format!("lane {name}")))
}

fn read_patch(body: Map<String, Value>) -> Result<LanePatch, ApiError> {
    let mut fields = Fields::new(body);
    let rate = if fields.is_null("rate") {
        Some(None)
    } else {
        fields.object("rate", read_rate).flatten().map(Some)
    };
    let patch = LanePatch {
        max_waiting: fields.nullable_integer("max_waiting", 1..=100_000),
        rate,
        ageing: fields.nullable_integer("ageing", 1..=86_400),
        max_attempts: fields.nullable_integer("max_attempts", 1..=100),
        retry: if fields.is_null("retry") {
            Some(RetryPolicy::default())
        } else {
            fields.object("retry", retry)
        },
    };
    fields.finish()?;
    Ok(patch)
}

/// `{"per_second": …, "burst": …}`; the burst is 1 unless said otherwise.
fn read_rate(fields: &mut Fields) -> Option<Rate> {
    let per_second = fields.positive("per_second", FASTEST);
    let per_second = fields.require("per_second", per_second);
    let burst = fields.nullable_integer("burst", 1..=1_000_000).flatten().unwrap_or(1);
    Some(Rate { per_second: per_second?, burst })
}
