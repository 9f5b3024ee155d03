//! The one place where errors become HTTP: RFC 9457 problem documents.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jetlane_core::causes;
use jetlane_core::domain::{JobState, LaneName};
use jetlane_core::store::{Refused, StoreError};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

/// What a client is told to wait before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request was not carried out. Unless a variant says otherwise, nothing
/// was written.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The body is no JSON object.
    #[error("{0}")]
    NotJson(String),
    /// There is no such thing, or the caller may not know of it.
    #[error("{0} not found")]
    NotFound(String),
    /// The path does not take this method.
    #[error("this path does not take this method")]
    MethodNotAllowed,
    /// The job's state does not allow it.
    #[error("{action} is not possible: the job is {state}")]
    Conflict {
        /// What was asked for.
        action: &'static str,
        /// Where the job stands.
        state: JobState,
    },
    /// The body is longer than any valid one.
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// What is accepted.
        limit: usize,
    },
    /// The body is not said to be JSON.
    #[error("send the body as application/json")]
    UnsupportedMediaType,
    /// Fields, parameters or headers break a rule that the caller can fix.
    #[error("{}", summary(.0))]
    Invalid(Vec<Violation>),
    /// The idempotency key was used for another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// A request with the same idempotency key is still under way: its answer
    /// will be this one's too.
    #[error("a request with this idempotency key is still under way, try again")]
    KeyInUse,
    /// Nothing is wrong with it, but with others of its batch, which was to be
    /// accepted whole.
    #[error("others of the batch were refused, and it was to be all or nothing")]
    WithTheOthers,
    /// Too many of the tenant's jobs wait in the lane.
    #[error("{limit} jobs wait in lane {lane} already, try again later")]
    LaneFull {
        /// Which lane.
        lane: LaneName,
        /// How many may wait.
        limit: i32,
    },
    /// We cannot serve this now. If it was a change, it may or may not have
    /// been made.
    #[error("the ledger is not available, try again")]
    Unavailable(#[source] anyhow::Error),
    /// The ledger's schema is older than we are. Nothing was changed.
    #[error("the ledger's schema is not up to date: run `jetlane migrate`")]
    Outdated(#[source] anyhow::Error),
    /// The request was sound, but we failed.
    #[error("the server failed to carry this out")]
    Internal(#[source] anyhow::Error),
}

/// One rule that a request broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where.
    pub place: Place,
    /// What to do about it.
    pub detail: String,
}

/// Where in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A JSON pointer into the body.
    Pointer(String),
    /// A query parameter.
    Parameter(String),
    /// A part of the path.
    Path(&'static str),
    /// A header.
    Header(&'static str),
}

impl Violation {
    /// A violation in the body.
    pub fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { place: Place::Pointer(pointer.into()), detail: detail.into() }
    }
}

/// Written as `{"pointer": …, "detail": …}`, the first name telling the place.
impl Serialize for Violation {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (kind, place) = match &self.place {
            Place::Pointer(pointer) => ("pointer", pointer.as_str()),
            Place::Parameter(name) => ("parameter", name.as_str()),
            Place::Path(name) => ("path", *name),
            Place::Header(name) => ("header", *name),
        };
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry(kind, place)?;
        map.serialize_entry("detail", &self.detail)?;
        map.end()
    }
}

fn summary(violations: &[Violation]) -> String {
    let parts: Vec<_> = violations
        .iter()
        .map(|violation| {
            let place = match &violation.place {
                Place::Pointer(name) | Place::Parameter(name) => name.as_str(),
                Place::Path(name) | Place::Header(name) => name,
            };
            format!("{place}: {}", violation.detail)
        })
        .collect();
    parts.join("; ")
}

impl ApiError {
    /// A query parameter that breaks a rule.
    pub fn parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        let place = Place::Parameter(name.into());
        Self::Invalid(vec![Violation { place, detail: detail.into() }])
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::UnknownLane(lane) => {
                Self::Invalid(vec![Violation::at("/lane", format!("there is no lane `{lane}`"))])
            }
            StoreError::KeyInUse => Self::KeyInUse,
            error if error.is_outdated() => Self::Outdated(error.into()),
            error if error.is_unavailable() => Self::Unavailable(error.into()),
            error => Self::Internal(error.into()),
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::UnknownLane(lane) => StoreError::UnknownLane(lane).into(),
            Refused::KeyReused => Self::KeyReused,
            Refused::KeyInUse => Self::KeyInUse,
            Refused::LaneFull { lane, limit } => Self::LaneFull { lane, limit },
            Refused::Unavailable => {
                Self::Unavailable(anyhow::anyhow!("the ledger was lost in the middle of the batch"))
            }
            Refused::Untakable => {
                Self::Internal(anyhow::anyhow!("the ledger does not take what the job holds"))
            }
            Refused::WithTheOthers => Self::WithTheOthers,
        }
    }
}

const NOT_JSON: &str = "/problems/not-json";
const NOT_FOUND: &str = "/problems/not-found";
const METHOD_NOT_ALLOWED: &str = "/problems/method-not-allowed";
const CONFLICT: &str = "/problems/conflict";
const TOO_LARGE: &str = "/problems/too-large";
const UNSUPPORTED_MEDIA_TYPE: &str = "/problems/unsupported-media-type";
const INVALID: &str = "/problems/invalid";
const UNAVAILABLE: &str = "/problems/unavailable";
const INTERNAL: &str = "/problems/internal";
const KEY_REUSED: &str = "/problems/key-reused";
const KEY_IN_USE: &str = "/problems/key-in-use";
const LANE_FULL: &str = "/problems/lane-full";
const WITH_THE_OTHERS: &str = "/problems/with-the-others";

/// The types of problem, as relative URIs. Adding one is a reviewed change,
/// renaming one a breaking change.
pub const PROBLEM_TYPES: [&str; 13] = [
    NOT_JSON,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    CONFLICT,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    INVALID,
    UNAVAILABLE,
    INTERNAL,
    KEY_REUSED,
    KEY_IN_USE,
    LANE_FULL,
    WITH_THE_OTHERS,
];

#[derive(serde::Serialize)]
struct Problem {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Violation>,
}

impl ApiError {
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotJson(_) => (StatusCode::BAD_REQUEST, NOT_JSON, "Not JSON"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, NOT_FOUND, "Not found"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, METHOD_NOT_ALLOWED, "Method not allowed")
            }
            Self::Conflict { .. } => (StatusCode::CONFLICT, CONFLICT, "Conflict"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE, "Body too large"),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                UNSUPPORTED_MEDIA_TYPE,
                "Unsupported media type",
            ),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, INVALID, "Invalid request"),
            Self::Unavailable(_) | Self::Outdated(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, "Unavailable")
            }
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, "Internal error"),
            Self::KeyReused => {
                (StatusCode::UNPROCESSABLE_ENTITY, KEY_REUSED, "Idempotency key reused")
            }
            Self::KeyInUse => (StatusCode::CONFLICT, KEY_IN_USE, "Idempotency key in use"),
            Self::LaneFull { .. } => (StatusCode::TOO_MANY_REQUESTS, LANE_FULL, "Lane full"),
            Self::WithTheOthers => {
                (StatusCode::UNPROCESSABLE_ENTITY, WITH_THE_OTHERS, "Refused with the others")
            }
        }
    }
}

impl ApiError {
    /// The problem document of one item of a batch.
    pub(crate) fn into_item(self) -> Value {
        json!(Problem::from(self))
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        let (status, r#type, title) = error.kind();
        let detail = error.to_string();
        let errors = match error {
            ApiError::Invalid(violations) => violations,
            _ => Vec::new(),
        };
        Self { r#type, title, status: status.as_u16(), detail, errors }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // Logged here and nowhere below: this is where it is handled.
        match &self {
            Self::Internal(cause) => {
                tracing::error!(error = causes(cause), "request failed");
            }
            Self::Unavailable(cause) | Self::Outdated(cause) => {
                tracing::warn!(error = causes(cause), "request turned away");
            }
            _ => {}
        }
        let (status, ..) = self.kind();
        let is_temporary = matches!(
            self,
            Self::Unavailable(_) | Self::Outdated(_) | Self::KeyInUse | Self::LaneFull { .. }
        );
        let mut response = (status, Json(Problem::from(self))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if is_temporary {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()));
        }
        response
    }
}
