//! `PUT /jobs/{id}`: changes a job that waits.

use axum::Json;
use axum::extract::State;
use jetlane_core::domain::JobPatch;
use jetlane_core::store::Updated;
use serde_json::{Map, Value};

use super::describe::{NAME_LIMIT, SUBMITTER_LIMIT};
use super::view::{BaseUrl, with_urls};
use crate::app::App;
use crate::fields::Fields;
use crate::problem::ApiError;
use crate::reader::{JobPath, JsonObject, LANE_RULE, Tenant};

/// 200 with the job as it is then. Fields that are not given stay; `params` is
/// replaced whole. 409 once the job has started.
pub(crate) async fn update(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    JobPath(id): JobPath,
    base: BaseUrl,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let patch = read(body)?;
    let not_found = move || ApiError::NotFound(format!("job {id}"));
    let (changer, owner) = (app.clone(), tenant.clone());
    let change = async move {
        match changer.ledger.update(&owner, id, patch).await? {
            Updated::Done(change) => {
                changer.announce(change).await;
                Ok(())
            }
            Updated::TooLate(state) => Err(ApiError::Conflict { action: "changing it", state }),
            Updated::NotFound => Err(not_found()),
        }
    };
    app.whole(change).await?;
    let job = app.ledger.find(&tenant, id).await?.ok_or_else(not_found)?;
    with_urls(&job, &base).map(Json)
}

fn read(body: Map<String, Value>) -> Result<JobPatch, ApiError> {
    let mut fields = Fields::new(body);
    let patch = JobPatch {
        name: fields.text("name", NAME_LIMIT),
        params: fields.params("params"),
        priority: fields.integer("priority"),
        submitted_by: fields.nullable_text("submitted_by", SUBMITTER_LIMIT),
        lane: fields.spelled("lane", LANE_RULE),
        run_at: fields.time("run_at"),
    };
    fields.finish()?;
    Ok(patch)
}
