//! `DELETE /jobs/{id}`: removes a job.

use axum::extract::State;
use axum::http::StatusCode;
use jetlane_core::domain::JobState;
use jetlane_core::store::Deleted;

use crate::app::App;
use crate::problem::ApiError;
use crate::reader::{JobPath, Tenant};

/// 204; the job is gone, its events stay. 409 while it runs.
pub(crate) async fn remove(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    JobPath(id): JobPath,
) -> Result<StatusCode, ApiError> {
    let remover = app.clone();
    let remove = async move {
        match remover.ledger.delete(&tenant, id).await? {
            Deleted::Done(change) => {
                remover.announce(change).await;
                Ok(StatusCode::NO_CONTENT)
            }
            Deleted::Running => {
                Err(ApiError::Conflict { action: "removing it", state: JobState::Running })
            }
            Deleted::NotFound => Err(ApiError::NotFound(format!("job {id}"))),
        }
    };
    app.whole(remove).await
}
