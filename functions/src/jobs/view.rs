//! A job as the API shows it.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jetlane_core::domain::{Job, JobId};
use serde::Serialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::problem::ApiError;

/// What absolute URLs begin with.
pub(crate) struct BaseUrl(String);

impl FromRequestParts<App> for BaseUrl {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        if let Some(url) = &app.public_url {
            return Ok(Self(url.clone()));
        }
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let host = text("host")
            .or_else(|| parts.uri.authority().map(axum::http::uri::Authority::as_str))
            .unwrap_or("localhost");
        let scheme = match text("x-forwarded-proto") {
            Some("https") => "https",
            _ => "http",
        };
        Ok(Self(format!("{scheme}://{host}")))
    }
}

impl BaseUrl {
    pub(crate) fn jobs(&self) -> String {
        format!("{}/jobs", self.0)
    }

    pub(crate) fn dead_letters(&self) -> String {
        format!("{}/dead-letters", self.0)
    }

    pub(crate) fn job(&self, id: JobId) -> String {
        format!("{}/jobs/{id}", self.0)
    }
}

/// A job and where to go on from it.
#[derive(Serialize)]
struct JobUrls {
    status: String,
    events: String,
    cancel: String,
    result: String,
}

/// The job with its `urls`.
///
/// # Errors
///
/// [`ApiError::Internal`] if it cannot be written as JSON, which would be a
/// mistake in its type.
pub(crate) fn with_urls(job: &Job, base: &BaseUrl) -> Result<Value, ApiError> {
    let status = base.job(job.id);
    let urls = JobUrls {
        events: format!("{status}/events"),
        cancel: format!("{status}/cancel"),
        result: format!("{status}/result"),
        status,
    };
    let mut view = serde_json::to_value(job).map_err(|error| ApiError::Internal(error.into()))?;
    if let Value::Object(fields) = &mut view {
        fields.insert("urls".to_owned(), json!(urls));
    }
    Ok(view)
}
