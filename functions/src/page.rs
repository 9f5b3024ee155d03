//! A page of jobs, and the way to the next.

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jetlane_core::domain::{Job, JobId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde_json::Value;

use crate::jobs::{BaseUrl, with_urls};
use crate::problem::ApiError;
use crate::reader::Query;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which page is asked for.
#[derive(Debug)]
pub(crate) struct Page {
    /// Only jobs older than this one.
    pub(crate) before: Option<JobId>,
    limit: usize,
}

impl Page {
    /// Reads `limit` and `cursor`.
    pub(crate) fn read(query: &Query) -> Result<Self, ApiError> {
        let rule = format!("must be a whole number from 1 to {MAX_LIMIT}");
        let limit = query.parsed("limit", &rule)?.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(ApiError::parameter("limit", rule));
        }
        let before = query.parsed("cursor", "must come from a `next` link")?;
        Ok(Self { before, limit })
    }

    /// How many rows to ask the ledger for: one more than is shown tells
    /// whether there is a next page.
    pub(crate) fn rows(&self) -> i64 {
        i64::try_from(self.limit + 1).unwrap_or(i64::MAX)
    }

    /// Leaves what is shown. Returns after which row the next page begins, if
    /// there is one.
    pub(crate) fn cut<T>(&self, rows: &mut Vec<T>, id: impl FnOnce(&T) -> JobId) -> Option<JobId> {
        let has_more = rows.len() > self.limit;
        rows.truncate(self.limit);
        rows.last().filter(|_| has_more).map(id)
    }

    /// 200 with the jobs; `Link: <…>; rel="next"` with the same filters if
    /// there is a page after `last`.
    pub(crate) fn respond(
        &self,
        jobs: &[Job],
        last: Option<JobId>,
        url: &str,
        query: &Query,
        base: &BaseUrl,
    ) -> Result<Response, ApiError> {
        let next = last.map(|last| {
            let mut pairs = vec![format!("limit={}", self.limit), format!("cursor={last}")];
            pairs.extend(
                query
                    .pairs()
                    .filter(|(name, _)| !["limit", "cursor"].contains(name))
                    .map(|(name, value)| format!("{}={}", encoded(name), encoded(value))),
            );
            format!("<{url}?{}>; rel=\"next\"", pairs.join("&"))
        });

        let views: Vec<Value> =
            jobs.iter().map(|job| with_urls(job, base)).collect::<Result<_, _>>()?;
        let mut response = Json(views).into_response();
        if let Some(link) = next.and_then(|link| link.parse().ok()) {
            response.headers_mut().insert(header::LINK, link);
        }
        Ok(response)
    }
}

/// Text as a query value.
fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_link_survives_odd_submitters() {
        assert_eq!(encoded("a b&c=d>ü-._~").to_string(), "a%20b%26c%3Dd%3E%C3%BC-._~");
    }
}
