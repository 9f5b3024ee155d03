//! `POST /dead-letters:redrive` and `POST /dead-letters:purge`: what is done to many.

use axum::Json;
use axum::extract::State;
use jetlane_core::domain::{Change, JobId, TenantName};
use jetlane_core::store::{DeadFilter, StoreError};
use serde_json::{Map, Value, json};

use super::filter;
use crate::app::App;
use crate::fields::Fields;
use crate::problem::ApiError;
use crate::reader::{JsonObject, Tenant};

/// So many are done at once at most, and by default.
const MOST: i32 = 500;

/// What is asked for.
struct Wish {
    filter: DeadFilter,
    limit: i64,
    is_dry: bool,
}

/// 200 with the ids of the dead letters that were given another chance, newest
/// job first, at most `limit` of those that the filter lets through; with
/// `dry_run` they are only named. Ask again until there are none.
pub(crate) async fn redrive(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let wish = read(body)?;
    let found = find(&app, &tenant, &wish).await?;
    if wish.is_dry {
        return Ok(Json(json!({ "dry_run": true, "jobs": found })));
    }
    let ledger = app.ledger.clone();
    let done = change(&app, async move { ledger.redrive(&tenant, found).await }).await?;
    Ok(Json(json!({ "redriven": done.len(), "jobs": done })))
}

/// 200 with the ids of the dead letters that were removed for good, as
/// [`redrive`].
pub(crate) async fn purge(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let wish = read(body)?;
    let found = find(&app, &tenant, &wish).await?;
    if wish.is_dry {
        return Ok(Json(json!({ "dry_run": true, "jobs": found })));
    }
    let ledger = app.ledger.clone();
    let done = change(&app, async move { ledger.purge(&tenant, &found).await }).await?;
    Ok(Json(json!({ "purged": done.len(), "jobs": done })))
}

fn read(body: Map<String, Value>) -> Result<Wish, ApiError> {
    let mut fields = Fields::new(body);
    let filter = filter::from_fields(&mut fields);
    let limit = fields.nullable_integer("limit", 1..=MOST).flatten().unwrap_or(MOST);
    let is_dry = fields.flag("dry_run").unwrap_or_default();
    fields.finish()?;
    Ok(Wish { filter, limit: limit.into(), is_dry })
}

async fn find(app: &App, tenant: &TenantName, wish: &Wish) -> Result<Vec<JobId>, ApiError> {
    Ok(app.ledger.dead_letters(tenant, &wish.filter, None, wish.limit).await?)
}

/// Makes a change whole, and says of which jobs it tells.
async fn change(
    app: &App,
    change: impl Future<Output = Result<Change, StoreError>> + Send + 'static,
) -> Result<Vec<JobId>, ApiError> {
    let changer = app.clone();
    app.whole(async move {
        let change = change.await?;
        let ids = change.events().map(|event| event.job_id).collect();
        changer.announce(change).await;
        Ok(ids)
    })
    .await
}
