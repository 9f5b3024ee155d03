//! `GET /jobs/{id}`: one job.

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use super::view::{BaseUrl, with_urls};
use crate::app::App;
use crate::problem::ApiError;
use crate::reader::{JobPath, Tenant};

/// 200 with the whole job, or 404.
pub(crate) async fn show(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    JobPath(id): JobPath,
    base: BaseUrl,
) -> Result<Json<Value>, ApiError> {
    let job = app.ledger.find(&tenant, id).await?;
    let job = job.ok_or_else(|| ApiError::NotFound(format!("job {id}")))?;
    with_urls(&job, &base).map(Json)
}
