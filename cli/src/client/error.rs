//! Why the API did not do what it was asked.

use reqwest::{Response, StatusCode};
use serde::Deserialize;

/// Why the API did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// No answer. Whether the request was carried out is unknown.
    #[error("cannot reach the API at {base}; start one with `jetlane dev`, or name it by --api")]
    Unreachable {
        /// The API.
        base: String,
        /// What the attempt came to.
        source: reqwest::Error,
    },
    /// An answer other than success. The request was not carried out, or, if
    /// [`Self::may_pass`], it is unknown whether it was.
    #[error("{said}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// What it says, in one line.
        said: String,
    },
    /// An answer that broke off or that is not what the API should say.
    #[error("cannot understand the answer of the API at {base}")]
    Garbled {
        /// The API.
        base: String,
        /// What is wrong with it.
        source: anyhow::Error,
    },
}

impl ClientError {
    /// Whether the same request may succeed later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Garbled { .. } => true,
            Self::Refused { status, .. } => {
                status.is_server_error()
                    || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(status)
            }
        }
    }
}

/// RFC 9457, as far as a person wants to read it, or what `/ready` says.
#[derive(Debug, Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    errors: Vec<Violation>,
}

/// One rule that the request broke. The place has another name for every part of a request.
#[derive(Debug, Deserialize)]
struct Violation {
    pointer: Option<String>,
    parameter: Option<String>,
    header: Option<String>,
    path: Option<String>,
    detail: String,
}

impl Violation {
    fn told(self) -> String {
        let places = [self.pointer, self.parameter, self.header, self.path];
        // The pointer to a whole body is empty.
        match places.into_iter().flatten().find(|place| !place.is_empty()) {
            Some(place) => format!("{place}: {}", self.detail),
            None => self.detail,
        }
    }
}

/// Reads an answer that tells of a failure.
pub(super) async fn refusal(response: Response) -> ClientError {
    let status = response.status();
    let body = response.bytes().await.unwrap_or_default();
    ClientError::Refused { status, said: tell(status, &body) }
}

fn tell(status: StatusCode, body: &[u8]) -> String {
    let by_status = format!("the API answered {status}");
    let Ok(Problem { title, detail, reason, errors }) = serde_json::from_slice(body) else {
        return by_status;
    };
    let what = title.unwrap_or(by_status);
    let why: Vec<String> = if errors.is_empty() {
        detail.or(reason).into_iter().collect()
    } else {
        errors.into_iter().map(Violation::told).collect()
    };
    if why.is_empty() { what } else { format!("{what}: {}", why.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_in_one_line() {
        let body = br#"{"type":"/problems/invalid","title":"Invalid request","status":422,
            "detail":"/lane: no such lane","errors":[{"pointer":"/lane","detail":"no such lane"}]}"#;
        assert_eq!(
            tell(StatusCode::UNPROCESSABLE_ENTITY, body),
            "Invalid request: /lane: no such lane"
        );

        let body = br#"{"title":"Not found","detail":"no such job"}"#;
        assert_eq!(tell(StatusCode::NOT_FOUND, body), "Not found: no such job");
    }

    #[test]
    fn a_broken_rule_is_told_wherever_in_the_request_it_is() {
        let body = br#"{"type":"/problems/invalid","title":"Invalid request","status":422,
            "detail":"lane: a; Idempotency-Key: b; lane: c; /run_at: d; : e","errors":[
            {"parameter":"lane","detail":"a"},{"header":"Idempotency-Key","detail":"b"},
            {"path":"lane","detail":"c"},{"pointer":"/run_at","detail":"d"},
            {"pointer":"","detail":"e"}]}"#;
        assert_eq!(
            tell(StatusCode::UNPROCESSABLE_ENTITY, body),
            "Invalid request: lane: a; Idempotency-Key: b; lane: c; /run_at: d; e"
        );
    }

    #[test]
    fn an_api_that_is_not_ready_tells_why() {
        assert_eq!(
            tell(
                StatusCode::SERVICE_UNAVAILABLE,
                br#"{"status":"unready","reason":"ledger down"}"#
            ),
            "the API answered 503 Service Unavailable: ledger down"
        );
    }

    #[test]
    fn an_answer_from_something_else_is_told_by_its_status() {
        assert_eq!(tell(StatusCode::BAD_GATEWAY, b"<html>"), "the API answered 502 Bad Gateway");
    }
}
