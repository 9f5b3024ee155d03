//! One request, and what its answer tells, if there is one.

use std::time::Duration;

use reqwest::{Client, ClientBuilder, Method};
use serde_json::Value;

/// A request is given up after so long.
const LIMIT: Duration = Duration::from_secs(6);

/// An edge that does not accept a connection in this time is not there.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// A client that goes straight to the servers.
pub(crate) fn http_client() -> Client {
    built(Client::builder().pool_idle_timeout(Duration::from_secs(10)))
}

/// A client that makes a connection for each request.
pub(super) fn http_client_without_pool() -> Client {
    built(Client::builder().pool_max_idle_per_host(0))
}

fn built(client: ClientBuilder) -> Client {
    let client = client.no_proxy().connect_timeout(CONNECT_LIMIT).build();
    client.expect("nothing in this configuration can be refused")
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) tenant: &'static str,
    pub(super) idempotency_key: Option<String>,
    pub(super) body: Option<Value>,
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    /// An answer.
    Answer {
        status: u16,
        body: Value,
        /// The answer says that it is that of an earlier request.
        is_replay: bool,
    },
    /// The request did not leave.
    NotSent(String),
    /// Nothing, or nothing whole.
    Nothing(String),
}

impl Call {
    /// Sends it and waits for the answer.
    pub(super) async fn send(self, client: &Client) -> Heard {
        let mut request = client.request(self.method, self.url).timeout(LIMIT);
        request = request.header("x-jetlane-tenant", self.tenant);
        if let Some(key) = self.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = self.body {
            request = request.json(&body);
        }
        match request.send().await {
            Err(error) if error.is_connect() => Heard::NotSent(told(error)),
            Err(error) => Heard::Nothing(told(error)),
            Ok(response) => read(response).await,
        }
    }
}

async fn read(response: reqwest::Response) -> Heard {
    let status = response.status().as_u16();
    let replayed = response.headers().get("idempotent-replayed");
    let is_replay = replayed.is_some_and(|value| value == "true");
    match response.text().await {
        Err(error) => Heard::Nothing(told(error)),
        Ok(text) => {
            let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
            Heard::Answer { status, body, is_replay }
        }
    }
}

fn told(error: reqwest::Error) -> String {
    format!("{:#}", anyhow::Error::new(error.without_url()))
}
