//! An HTTP request as API Gateway hands it to a function: the event of an HTTP
//! API, payload format 2.0.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// What the gateway knows of a request besides what it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) at: DateTime<Utc>,
    pub(super) from: IpAddr,
}

/// The event of a request.
pub(super) fn event(request: &Parts, body: &[u8], arrival: Arrival) -> Value {
    let path = request.uri.path();
    let text = |name| request.headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST).unwrap_or("localhost");
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": request.uri.query().unwrap_or_default(),
        "headers": headers(&request.headers, arrival.from),
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": host,
            "domainPrefix": host.split('.').next(),
            "http": {
                "method": request.method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": arrival.from,
                "userAgent": text(axum::http::header::USER_AGENT).unwrap_or_default(),
            },
            "requestId": uuid::Uuid::now_v7(),
            "routeKey": "$default",
            "stage": "$default",
            "time": arrival.at.format("%d/%b/%Y:%H:%M:%S %z").to_string(),
            "timeEpoch": arrival.at.timestamp_millis(),
        },
        "isBase64Encoded": false,
    });
    if let Some(cookies) = text(COOKIE) {
        event["cookies"] = cookies.split(';').map(str::trim).collect();
    }
    match text_of(&request.headers, body) {
        _ if body.is_empty() => {}
        Some(text) => event["body"] = json!(text),
        None => {
            event["body"] = json!(BASE64.encode(body));
            event["isBase64Encoded"] = json!(true);
        }
    }
    event
}

/// By name; values of the same name are joined by commas. Cookies have a place
/// of their own.
fn headers(said: &HeaderMap, from: IpAddr) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    let said = said.iter().filter(|(name, _)| *name != COOKIE);
    for (name, value) in said.filter_map(|(name, value)| Some((name, value.to_str().ok()?))) {
        let values = headers.entry(name.as_str().to_owned()).or_default();
        if !values.is_empty() {
            values.push(',');
        }
        values.push_str(value);
    }
    headers.insert("x-forwarded-for".to_owned(), from.to_string());
    headers.insert("x-forwarded-proto".to_owned(), "http".to_owned());
    headers
}

/// The body as text, if its type says that it is.
fn text_of<'a>(headers: &HeaderMap, body: &'a [u8]) -> Option<&'a str> {
    let value = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let kind = value(CONTENT_TYPE)?.split(';').next()?.trim();
    let is_text = kind.starts_with("text/")
        || ["application/json", "application/xml", "application/javascript"].contains(&kind);
    if !is_text || value(CONTENT_ENCODING).is_some() {
        return None;
    }
    std::str::from_utf8(body).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn of(request: axum::http::request::Builder, body: &[u8]) -> Value {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let at = DateTime::from_timestamp_millis(1_700_000_000_123).unwrap();
        event(&parts, body, Arrival { at, from: [127, 0, 0, 1].into() })
    }

    #[test]
    fn method_path_and_query_are_told_as_they_came() {
        let request = Request::builder().method("PUT").uri("/jobs/a%20b?lane=x%2Fy&lane=z");
        let event = of(request, b"");
        assert_eq!(event["version"], "2.0");
        assert_eq!(event["rawPath"], "/jobs/a%20b");
        assert_eq!(event["rawQueryString"], "lane=x%2Fy&lane=z");
        assert_eq!(event["requestContext"]["http"]["method"], "PUT");
        assert_eq!(event["requestContext"]["timeEpoch"], 1_700_000_000_123_i64);
        assert_eq!(event["requestContext"]["time"], "14/Nov/2023:22:13:20 +0000");
        assert_eq!(event.get("body"), None);
    }

    #[test]
    fn headers_of_a_name_are_joined_and_cookies_stand_apart() {
        let request = Request::builder()
            .header("Accept", "a/b")
            .header("accept", "c/d")
            .header("cookie", "x=1; y=2");
        let event = of(request, b"");
        assert_eq!(event["headers"]["accept"], "a/b,c/d");
        assert_eq!(event["headers"]["x-forwarded-for"], "127.0.0.1");
        assert_eq!(event["headers"].get("cookie"), None);
        assert_eq!(event["cookies"], json!(["x=1", "y=2"]));
    }

    #[test]
    fn text_is_told_as_it_is_and_the_rest_in_base64() {
        let json = Request::builder().header("content-type", "application/json; charset=utf-8");
        let event = of(json, "{\"ü\":1}".as_bytes());
        assert_eq!(
            (&event["body"], &event["isBase64Encoded"]),
            (&json!("{\"ü\":1}"), &json!(false))
        );

        let bytes = Request::builder().header("content-type", "application/octet-stream");
        let event = of(bytes, &[0xff, 0]);
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("/wA="), &json!(true)));

        let broken = Request::builder().header("content-type", "text/plain");
        assert_eq!(of(broken, &[0xff, 0])["isBase64Encoded"], true);
    }
}
