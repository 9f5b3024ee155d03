//! A function's answer as the HTTP response that API Gateway makes of it.

use std::collections::HashMap;

use anyhow::Context;
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, SET_COOKIE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

/// What a function answers. The format is AWS's: it may say more than is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: u16,
    #[serde(default)]
    headers: HashMap<String, String>,
    #[serde(default)]
    cookies: Vec<String>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// The response that a function's answer, JSON, stands for.
///
/// # Errors
///
/// If it stands for none.
pub(super) fn response(answer: &[u8]) -> anyhow::Result<Response> {
    let answer: Answer = serde_json::from_slice(answer).context("it is no answer")?;
    let body = answer.body.unwrap_or_default();
    let body = if answer.is_base64_encoded {
        BASE64.decode(body).context("its body is no base64")?
    } else {
        body.into_bytes()
    };

    let mut response = Response::builder().status(answer.status_code).body(Body::from(body))?;
    let headers = response.headers_mut();
    for (name, value) in answer.headers {
        let name = HeaderName::try_from(name)?;
        // It is that of the body as it is sent.
        if name != CONTENT_LENGTH {
            headers.insert(name, HeaderValue::try_from(value)?);
        }
    }
    for cookie in answer.cookies {
        headers.append(SET_COOKIE, HeaderValue::try_from(cookie)?);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(answer: &Value) -> anyhow::Result<Response> {
        response(&serde_json::to_vec(answer)?)
    }

    async fn body(response: Response) -> Vec<u8> {
        axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().into()
    }

    #[tokio::test]
    async fn status_headers_cookies_and_body_are_the_functions() {
        let response = of(&json!({
            "statusCode": 201,
            "headers": { "location": "/jobs/1", "content-length": "999" },
            "multiValueHeaders": {},
            "cookies": ["a=1", "b=2"],
            "body": "{}",
            "isBase64Encoded": false,
        }))
        .unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()["location"], "/jobs/1");
        assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
        assert_eq!(response.headers().get("content-length"), None);
        assert_eq!(body(response).await, b"{}");
    }

    #[tokio::test]
    async fn base64_is_undone() {
        let answer = json!({ "statusCode": 200, "body": "/wA=", "isBase64Encoded": true });
        assert_eq!(body(of(&answer).unwrap()).await, [0xff, 0]);
    }

    #[tokio::test]
    async fn an_answer_may_have_no_body() {
        let response = of(&json!({ "statusCode": 204, "body": null })).unwrap();
        assert_eq!(response.status(), 204);
        assert!(body(response).await.is_empty());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for answer in [
            json!("done"),
            json!({ "body": "without a status" }),
            json!({ "statusCode": 1000 }),
            json!({ "statusCode": 200, "body": "%", "isBase64Encoded": true }),
            json!({ "statusCode": 200, "headers": { "a b": "c" } }),
        ] {
            assert!(of(&answer).is_err(), "{answer}");
        }
    }
}
