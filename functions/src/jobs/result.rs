//! `GET /jobs/{id}/result`: what a job brought.

use axum::Json;
use axum::extract::State;
use jetlane_core::domain::JobState;
use serde_json::Value;

use crate::app::App;
use crate::problem::ApiError;
use crate::reader::{JobPath, Tenant};

/// 200 with the result, null if the tool had none to give; 409 unless the job
/// is completed.
pub(crate) async fn result(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    JobPath(id): JobPath,
) -> Result<Json<Value>, ApiError> {
    let job = app.ledger.find(&tenant, id).await?;
    let job = job.ok_or_else(|| ApiError::NotFound(format!("job {id}")))?;
    if job.state != JobState::Completed {
        return Err(ApiError::Conflict { action: "reading the result", state: job.state });
    }
    Ok(Json(job.result.unwrap_or_default()))
}
