//! `POST /jobs/{id}/redrive`: gives a dead letter another chance.

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use super::view::{BaseUrl, with_urls};
use crate::app::App;
use crate::problem::ApiError;
use crate::reader::{JobPath, Tenant};

/// 200 with the job, which waits again with no failure charged. 409 if it has
/// not failed.
pub(crate) async fn redrive(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    JobPath(id): JobPath,
    base: BaseUrl,
) -> Result<Json<Value>, ApiError> {
    let (driver, owner) = (app.clone(), tenant.clone());
    let is_redriven = app
        .whole(async move {
            let change = driver.ledger.redrive(&owner, vec![id]).await?;
            let is_redriven = change.events().next().is_some();
            driver.announce(change).await;
            Ok(is_redriven)
        })
        .await?;
    let job = app.ledger.find(&tenant, id).await?;
    let job = job.ok_or_else(|| ApiError::NotFound(format!("job {id}")))?;
    if is_redriven {
        with_urls(&job, &base).map(Json)
    } else {
        Err(ApiError::Conflict { action: "redriving it", state: job.state })
    }
}
