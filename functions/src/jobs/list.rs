//! `GET /jobs`: a page of jobs.

use axum::extract::State;
use axum::response::Response;
use jetlane_core::store::JobFilter;

use super::view::BaseUrl;
use crate::app::App;
use crate::page::Page;
use crate::problem::ApiError;
use crate::reader::{LANE_RULE, Query, STATE_RULE, Tenant};

/// 200 with an array, newest first; `Link: <…>; rel="next"` if there is more.
pub(crate) async fn list(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    base: BaseUrl,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&["state", "lane", "submitted_by", "limit", "cursor"])?;
    let filter = JobFilter {
        state: query.parsed("state", STATE_RULE)?,
        lane: query.parsed("lane", LANE_RULE)?,
        submitted_by: query.one("submitted_by")?.map(str::to_owned),
    };
    let page = Page::read(&query)?;
    let mut jobs = app.ledger.list(&tenant, &filter, page.before, page.rows()).await?;
    let last = page.cut(&mut jobs, |job| job.id);
    page.respond(&jobs, last, &base.jobs(), &query, &base)
}
