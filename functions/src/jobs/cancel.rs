//! `POST /jobs/{id}/cancel`: asks for a job's end.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jetlane_core::domain::JobState;
use jetlane_core::store::Cancelled;

use super::view::{BaseUrl, with_urls};
use crate::app::App;
use crate::problem::ApiError;
use crate::reader::{JobPath, Tenant};

/// 200 with the job if it is cancelled, 202 if it runs and will be; asking
/// again changes nothing. 409 if it ended otherwise, before or just now.
pub(crate) async fn cancel(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    JobPath(id): JobPath,
    base: BaseUrl,
) -> Result<Response, ApiError> {
    let not_found = move || ApiError::NotFound(format!("job {id}"));
    let (canceller, owner) = (app.clone(), tenant.clone());
    let cancel = async move {
        match canceller.ledger.cancel(&owner, id).await? {
            Cancelled::Accepted(change) => {
                canceller.announce(change).await;
                Ok(())
            }
            Cancelled::Already => Ok(()),
            Cancelled::Final(state) => Err(ApiError::Conflict { action: "cancelling it", state }),
            Cancelled::NotFound => Err(not_found()),
        }
    };
    app.whole(cancel).await?;
    let job = app.ledger.find(&tenant, id).await?.ok_or_else(not_found)?;
    let status = match job.state {
        JobState::Running => StatusCode::ACCEPTED,
        // It was told to stop, and had ended by then.
        state @ (JobState::Completed | JobState::Failed) => {
            return Err(ApiError::Conflict { action: "cancelling it", state });
        }
        _ => StatusCode::OK,
    };
    Ok((status, Json(with_urls(&job, &base)?)).into_response())
}
