//! Reading a request: body, path, query and headers, each with its own way to
//! be wrong.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use jetlane_core::domain::{JobId, LaneName, TenantName};
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::jobs::KEY_LIMIT;
use crate::problem::{ApiError, Place, Violation};

/// The longest body: params of 256 KiB and room for the rest.
const BODY_LIMIT: usize = 512 * 1024;

/// A longer body is read so far, without being kept, so that a client that
/// writes before it reads gets its answer instead of a broken connection.
const DISCARD_LIMIT: usize = 32 * 1024 * 1024;

/// How long a body may take to come.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// What is said to who names a lane wrongly.
pub(crate) const LANE_RULE: &str = "must be 1 to 32 of a-z, 0-9 and -, starting with a letter";

/// What is said to who names a state wrongly.
pub(crate) const STATE_RULE: &str =
    "must be scheduled, queued, running, completed, failed or cancelled";

const TENANT_HEADER: &str = "x-jetlane-tenant";

/// The body as a JSON object, in which no text holds a NUL.
pub(crate) struct JsonObject(pub(crate) Map<String, Value>);

impl<S: Sync> FromRequest<S> for JsonObject {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let AnyJsonObject::<BODY_LIMIT>(object) =
            AnyJsonObject::from_request(request, state).await?;
        match nuls("", &object) {
            nuls if nuls.is_empty() => Ok(Self(object)),
            nuls => Err(ApiError::Invalid(nuls)),
        }
    }
}

/// The body as a JSON object of at most `LIMIT` bytes, whose texts may hold NULs.
pub(crate) struct AnyJsonObject<const LIMIT: usize>(pub(crate) Map<String, Value>);

impl<S: Sync, const LIMIT: usize> FromRequest<S> for AnyJsonObject<LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let is_json = is_json(request.headers());
        let body = timeout(READ_LIMIT, read(request.into_body(), LIMIT))
            .await
            .map_err(|_| ApiError::NotJson("the body did not come in time".to_owned()))??;
        if body.is_empty() {
            return Err(ApiError::NotJson("the body is empty: send a JSON object".to_owned()));
        }
        if !is_json {
            return Err(ApiError::UnsupportedMediaType);
        }
        let value: Value = serde_json::from_slice(&body)
            .map_err(|error| ApiError::NotJson(format!("the body is no JSON: {error}")))?;
        match value {
            Value::Object(object) => Ok(Self(object)),
            _ => Err(ApiError::Invalid(vec![Violation::at("", "send a JSON object")])),
        }
    }
}

/// The places in an object, itself at the JSON pointer `place`, where a text
/// holds a NUL, which PostgreSQL cannot store.
pub(crate) fn nuls(place: &str, object: &Map<String, Value>) -> Vec<Violation> {
    let mut nuls = Vec::new();
    for (name, value) in object {
        find_nuls(&format!("{place}/{}", escaped(name)), name, value, &mut nuls);
    }
    nuls
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json"))
    })
}

async fn read(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut chunks = body.into_data_stream();
    let (mut kept, mut length) = (Vec::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| ApiError::NotJson("the body ended early".to_owned()))?;
        length += chunk.len();
        if length <= limit {
            kept.extend_from_slice(&chunk);
        } else if length > DISCARD_LIMIT {
            break;
        }
    }
    if length > limit { Err(ApiError::TooLarge { limit }) } else { Ok(kept) }
}

/// Collects the places of texts that hold a NUL.
fn find_nuls(pointer: &str, name: &str, value: &Value, found: &mut Vec<Violation>) {
    let mut complain = || {
        found.push(Violation::at(pointer.replace('\0', "\u{fffd}"), "text must not hold a NUL"));
    };
    if name.contains('\0') {
        complain();
    }
    match value {
        Value::String(text) if text.contains('\0') => complain(),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find_nuls(&format!("{pointer}/{index}"), "", item, found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                find_nuls(&format!("{pointer}/{}", escaped(name)), name, field, found);
            }
        }
        _ => {}
    }
}

/// A name as a token of a JSON pointer (RFC 6901).
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The job that the path names.
pub(crate) struct JobPath(pub(crate) JobId);

impl<S: Send + Sync> FromRequestParts<S> for JobPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => text,
            // Percent-encoding that is no UTF-8.
            Err(_) => String::new(),
        };
        text.parse().map(Self).map_err(|_| {
            ApiError::Invalid(vec![Violation {
                place: Place::Path("id"),
                detail: "a job's id is a UUID".to_owned(),
            }])
        })
    }
}

/// The lane that the path names first.
pub(crate) struct LanePath(pub(crate) LaneName);

impl<S: Send + Sync> FromRequestParts<S> for LanePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<HashMap<String, String>>::from_request_parts(parts, state).await;
        let text = path.ok().and_then(|Path(mut path)| path.remove("lane")).unwrap_or_default();
        text.parse().map(Self).map_err(|_| {
            ApiError::Invalid(vec![Violation {
                place: Place::Path("lane"),
                detail: LANE_RULE.to_owned(),
            }])
        })
    }
}

/// The concurrency key that the path names.
pub(crate) struct KeyPath(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for KeyPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let key = match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(key)) => key,
            // Percent-encoding that is no UTF-8.
            Err(_) => String::new(),
        };
        if key.trim().is_empty() || key.chars().count() > KEY_LIMIT || key.contains('\0') {
            return Err(ApiError::Invalid(vec![Violation {
                place: Place::Path("key"),
                detail: format!("must have 1 to {KEY_LIMIT} characters, not all blank"),
            }]));
        }
        Ok(Self(key))
    }
}

/// Whose request it is.
pub(crate) struct Tenant(pub(crate) TenantName);

impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(TENANT_HEADER) else {
            return Ok(Self(TenantName::default()));
        };
        let name = value.to_str().unwrap_or_default().parse::<TenantName>();
        name.map(Self).map_err(|error| {
            ApiError::Invalid(vec![Violation {
                place: Place::Header("X-Jetlane-Tenant"),
                detail: error.to_string(),
            }])
        })
    }
}

/// The caller's name for this request.
pub(crate) struct IdempotencyKey(pub(crate) Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get("idempotency-key") else {
            return Ok(Self(None));
        };
        let key = value.to_str().ok().map(str::trim).filter(|key| is_idempotency_key(key));
        match key {
            Some(key) => Ok(Self(Some(key.to_owned()))),
            None => Err(ApiError::Invalid(vec![Violation {
                place: Place::Header("Idempotency-Key"),
                detail: IDEMPOTENCY_KEY_RULE.to_owned(),
            }])),
        }
    }
}

/// The longest name of a request.
pub(crate) const IDEMPOTENCY_KEY_LIMIT: usize = 255;

/// What is said to who chooses a key that cannot be kept.
pub(crate) const IDEMPOTENCY_KEY_RULE: &str = "must have 1 to 255 visible ASCII characters";

/// Whether text can be the name of a request.
pub(crate) fn is_idempotency_key(text: &str) -> bool {
    (1..=IDEMPOTENCY_KEY_LIMIT).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The caller's W3C trace context, if it is well formed.
pub(crate) struct Traceparent(pub(crate) Option<String>);

impl<S: Sync> FromRequestParts<S> for Traceparent {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let value = parts.headers.get("traceparent").and_then(|value| value.to_str().ok());
        Ok(Self(value.filter(|value| is_traceparent(value)).map(str::to_owned)))
    }
}

fn is_traceparent(text: &str) -> bool {
    let mut parts = text.split('-');
    [2, 32, 16, 2].into_iter().all(|length| {
        parts.next().is_some_and(|part| {
            part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
    }) && parts.next().is_none()
}

/// Query parameters, each known by name; those that may be repeated keep all
/// their values.
pub(crate) struct Query(HashMap<String, Vec<String>>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut values: HashMap<String, Vec<String>> = HashMap::new();
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| ApiError::parameter("", "the query cannot be read"))?;
        for (name, value) in pairs.0 {
            if value.contains('\0') {
                return Err(ApiError::parameter(name, "text must not hold a NUL"));
            }
            values.entry(name).or_default().push(value);
        }
        Ok(Self(values))
    }
}

impl Query {
    /// Refuses parameters of other names.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(ApiError::parameter(
                name,
                format!("unknown parameter; known are {}", known.join(", ")),
            )),
            None => Ok(()),
        }
    }

    /// The parameter's only value.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.0.get(name).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([value]) => Ok(Some(value)),
            Some(_) => Err(ApiError::parameter(name, "give it once")),
        }
    }

    /// All parameters, by name.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut pairs: Vec<_> = self
            .0
            .iter()
            .flat_map(|(name, values)| values.iter().map(|value| (name.as_str(), value.as_str())))
            .collect();
        pairs.sort_unstable();
        pairs.into_iter()
    }

    /// All values of the parameter.
    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The parameter's only value, read as what it is.
    pub(crate) fn parsed<T: std::str::FromStr>(
        &self,
        name: &str,
        rule: &str,
    ) -> Result<Option<T>, ApiError> {
        self.one(name)?
            .map(|text| text.parse().map_err(|_| ApiError::parameter(name, rule)))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_checked_before_it_is_carried_on() {
        assert!(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        assert!(!is_traceparent("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"));
        assert!(!is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"));
        assert!(!is_traceparent(""));
    }

    #[test]
    fn a_nul_is_found_however_deep() {
        let value = serde_json::json!({ "a": [{ "b/c": "x\0" }], "d\0": 1 });
        let mut found = Vec::new();
        find_nuls("/params", "params", &value, &mut found);
        let places: Vec<_> = found.into_iter().map(|violation| violation.place).collect();
        assert_eq!(
            places,
            [
                Place::Pointer("/params/a/0/b~1c".to_owned()),
                Place::Pointer("/params/d\u{fffd}".to_owned()),
            ]
        );
    }

    #[tokio::test]
    async fn a_key_that_cannot_be_read_from_the_path_is_a_problem_as_any_other() {
        let (mut parts, ()) = axum::http::Request::new(()).into_parts();
        let refused = KeyPath::from_request_parts(&mut parts, &()).await.err();
        let Some(ApiError::Invalid(violations)) = refused else { panic!("{refused:?}") };
        assert_eq!(violations[0].place, Place::Path("key"));
    }
}
