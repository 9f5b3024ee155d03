//! `GET /dead-letters`: a page of dead letters.

use axum::extract::State;
use axum::response::Response;

use super::filter;
use crate::app::App;
use crate::jobs::BaseUrl;
use crate::page::Page;
use crate::problem::ApiError;
use crate::reader::{Query, Tenant};

/// 200 with an array, newest job first; `Link: <…>; rel="next"` if there is more.
pub(crate) async fn list(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    base: BaseUrl,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&["lane", "tool", "error", "submitted_by", "limit", "cursor"])?;
    let filter = filter::from_query(&query)?;
    let page = Page::read(&query)?;
    let mut ids = app.ledger.dead_letters(&tenant, &filter, page.before, page.rows()).await?;
    let last = page.cut(&mut ids, |id| *id);
    let jobs = app.ledger.find_each(&tenant, &ids).await?;
    page.respond(&jobs, last, &base.dead_letters(), &query, &base)
}
