//! `GET /jobs`: a page of jobs.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jetlane_core::domain::{Job, JobId};
use jetlane_core::store::JobFilter;
use serde_json::Value;

use super::view::{BaseUrl, with_urls};
use crate::app::App;
use crate::problem::ApiError;
use crate::reader::{LANE_RULE, Query, STATE_RULE, Tenant};

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

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
    let limit = limit(&query)?;
    let before: Option<JobId> = query.parsed("cursor", "must come from a `next` link")?;

    // One more than asked for tells whether there is a next page.
    let mut jobs = app
        .ledger
        .list(&tenant, &filter, before, i64::try_from(limit + 1).unwrap_or(i64::MAX))
        .await?;
    let has_more = jobs.len() > limit;
    jobs.truncate(limit);
    let next = jobs.last().filter(|_| has_more).map(|last| next_link(last, &filter, limit, &base));

    let views: Vec<Value> =
        jobs.iter().map(|job| with_urls(job, &base)).collect::<Result<_, _>>()?;
    let mut response = Json(views).into_response();
    if let Some(link) = next.and_then(|link| link.parse().ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

fn limit(query: &Query) -> Result<usize, ApiError> {
    let rule = format!("must be a whole number from 1 to {MAX_LIMIT}");
    let limit = query.parsed("limit", &rule)?.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_LIMIT).contains(&limit) {
        Ok(limit)
    } else {
        Err(ApiError::parameter("limit", rule))
    }
}

fn next_link(last: &Job, filter: &JobFilter, limit: usize, base: &BaseUrl) -> String {
    let mut query = vec![("limit", limit.to_string()), ("cursor", last.id.to_string())];
    query.extend(filter.state.map(|state| ("state", state.to_string())));
    query.extend(filter.lane.as_ref().map(|lane| ("lane", lane.to_string())));
    query.extend(filter.submitted_by.as_ref().map(|name| ("submitted_by", percent_encoded(name))));
    let query: Vec<_> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("<{}?{}>; rel=\"next\"", base.jobs(), query.join("&"))
}

/// Text as a query value: all but unreserved characters (RFC 3986) encoded.
fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_link_survives_odd_submitters() {
        assert_eq!(percent_encoded("a b&c=d>ü"), "a%20b%26c%3Dd%3E%C3%BC");
    }
}
