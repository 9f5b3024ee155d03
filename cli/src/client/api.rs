//! One function per request.

use std::time::Duration;

use anyhow::Context;
use jetlane_core::domain::JobId;
use reqwest::header::{ACCEPT, LINK};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use super::error::{ClientError, refusal};
use super::job::{CancelAnswer, JobFilter, JobView, NewJob};

/// How long a request other than a stream may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a stream may be silent: three of the server's keepalives.
const SILENCE: Duration = Duration::from_secs(45);

/// The most that the API gives on one page.
const PAGE: usize = 500;

/// The API. Clones share their connections.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    client: Client,
    base: Url,
}

impl Api {
    /// The API at `address`, such as `http://127.0.0.1:8000`. Connects later.
    ///
    /// # Errors
    ///
    /// If `address` is no HTTP address, or this machine's certificates cannot be read.
    pub(crate) fn new(address: &str) -> anyhow::Result<Self> {
        let base = Self::check_address(address)?;
        let mut builder = Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(SILENCE);
        if base.scheme() == "http" {
            // A machine without certificates needs none to talk to itself.
            builder = builder.tls_certs_only([]);
        }
        if is_this_machine(&base) {
            builder = builder.no_proxy();
        }
        let client = builder.build().context("cannot set up the HTTP client")?;
        Ok(Self { client, base })
    }

    /// Reads the address of an API.
    ///
    /// # Errors
    ///
    /// If it is no HTTP address.
    pub(crate) fn check_address(address: &str) -> anyhow::Result<Url> {
        let base = Url::parse(address).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
        base.with_context(|| format!("`{address}` is no http:// or https:// address"))
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Submits a job, and returns it. With a key, asking again makes no second job.
    pub(crate) async fn submit(
        &self,
        job: &NewJob,
        idempotency_key: Option<&str>,
    ) -> Result<Value, ClientError> {
        let mut request = self.client.post(self.url("/jobs")).json(job);
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        self.ask(request).await
    }

    /// The job, whole.
    pub(crate) async fn job(&self, id: JobId) -> Result<Value, ClientError> {
        self.get(self.url(&format!("/jobs/{id}"))).await
    }

    /// The newest jobs that `filter` lets through, at most `limit`, newest first.
    pub(crate) async fn jobs(
        &self,
        filter: &JobFilter,
        limit: usize,
    ) -> Result<Vec<Value>, ClientError> {
        let mut url = self.url("/jobs");
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("limit", &limit.clamp(1, PAGE).to_string());
            if let Some(state) = filter.state {
                query.append_pair("state", state.as_str());
            }
            if let Some(lane) = &filter.lane {
                query.append_pair("lane", lane);
            }
            if let Some(submitter) = &filter.submitted_by {
                query.append_pair("submitted_by", submitter);
            }
        }

        let mut jobs: Vec<Value> = Vec::new();
        loop {
            let request = self.client.get(url.clone()).timeout(TIMEOUT);
            let response = self.send(request).await?;
            let next = next_query(&response);
            let page: Vec<Value> = self.read(response).await?;
            let is_last = page.is_empty();
            jobs.extend(page);

            match next.filter(|_| jobs.len() < limit && !is_last) {
                // Its query only: a proxy may know the server by another name.
                Some(query) => url.set_query(Some(&query)),
                None => break,
            }
        }
        jobs.truncate(limit);
        Ok(jobs)
    }

    /// Asks for the job's end, and returns the job as it stands then.
    pub(crate) async fn cancel(&self, id: JobId) -> Result<(CancelAnswer, Value), ClientError> {
        let url = self.url(&format!("/jobs/{id}/cancel"));
        let response = self.send(self.client.post(url).timeout(TIMEOUT)).await?;
        let answer = match response.status() {
            StatusCode::ACCEPTED => CancelAnswer::Stopping,
            _ => CancelAnswer::Cancelled,
        };
        Ok((answer, self.read(response).await?))
    }

    /// Dead letters that `filter` lets through, newest job first, at most `limit`.
    pub(crate) async fn dead_letters(
        &self,
        filter: &Value,
        limit: usize,
    ) -> Result<Vec<Value>, ClientError> {
        let mut url = self.url("/dead-letters");
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("limit", &limit.clamp(1, PAGE).to_string());
            for (name, value) in filter.as_object().into_iter().flatten() {
                query.append_pair(name, value.as_str().unwrap_or_default());
            }
        }
        self.get(url).await
    }

    /// `redrive` or `purge` of the dead letters that `body` describes.
    pub(crate) async fn change_dead_letters(
        &self,
        verb: &str,
        body: &Value,
    ) -> Result<Value, ClientError> {
        let url = self.url(&format!("/dead-letters:{verb}"));
        self.ask(self.client.post(url).json(body)).await
    }

    /// Gives a dead letter another chance, and returns the job.
    pub(crate) async fn redrive(&self, id: JobId) -> Result<Value, ClientError> {
        self.ask(self.client.post(self.url(&format!("/jobs/{id}/redrive")))).await
    }

    /// The attempts at a job, the first one first.
    pub(crate) async fn attempts(&self, id: JobId) -> Result<Vec<Value>, ClientError> {
        self.get(self.url(&format!("/jobs/{id}/attempts"))).await
    }

    /// All lanes, by name.
    pub(crate) async fn lanes(&self) -> Result<Vec<Value>, ClientError> {
        self.get(self.url("/lanes")).await
    }

    /// Makes a lane or changes its policy, and returns it.
    pub(crate) async fn set_lane(&self, lane: &str, policy: &Value) -> Result<Value, ClientError> {
        let url = self.below("/lanes", &[lane]);
        self.ask(self.client.patch(url).json(policy)).await
    }

    /// `pause` or `resume` of a lane, which is returned.
    pub(crate) async fn move_lane(&self, lane: &str, verb: &str) -> Result<Value, ClientError> {
        self.ask(self.client.post(self.below("/lanes", &[lane, verb]))).await
    }

    /// Sets a tenant's share of a lane, which is returned.
    pub(crate) async fn set_share(
        &self,
        lane: &str,
        tenant: &str,
        weight: u32,
    ) -> Result<Value, ClientError> {
        let url = self.below("/lanes", &[lane, "shares", tenant]);
        self.ask(self.client.put(url).json(&serde_json::json!({ "weight": weight }))).await
    }

    /// Sets the limit of a concurrency key, and returns it.
    pub(crate) async fn limit_concurrency(
        &self,
        key: &str,
        limit: &Value,
    ) -> Result<Value, ClientError> {
        self.ask(self.client.put(self.below("/concurrency-keys", &[key])).json(limit)).await
    }

    /// Whether the API can do its work, as it says itself.
    pub(crate) async fn ready(&self) -> Result<Value, ClientError> {
        self.get(self.url("/ready")).await
    }

    /// Whether the process at this address says that it is alive.
    pub(crate) async fn is_healthy(&self) -> bool {
        self.get::<Value>(self.url("/health")).await.is_ok()
    }

    /// Opens the stream of events that `query` describes, from after `last_event_id`.
    pub(super) async fn events(
        &self,
        query: &[(&str, String)],
        last_event_id: Option<&str>,
    ) -> Result<Response, ClientError> {
        let mut url = self.url("/events");
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.client.get(url).header(ACCEPT, "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        self.send(request).await
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, url: Url) -> Result<T, ClientError> {
        self.ask(self.client.get(url)).await
    }

    async fn ask<T: for<'de> Deserialize<'de>>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, ClientError> {
        self.read(self.send(request.timeout(TIMEOUT)).await?).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|source| ClientError::Unreachable {
            base: self.address().to_owned(),
            source: source.without_url(),
        })?;
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
    }

    async fn read<T: for<'de> Deserialize<'de>>(
        &self,
        response: Response,
    ) -> Result<T, ClientError> {
        response.json().await.map_err(|source| self.garbled(source.without_url()))
    }

    fn garbled(&self, source: impl Into<anyhow::Error>) -> ClientError {
        ClientError::Garbled { base: self.address().to_owned(), source: source.into() }
    }

    /// What matters of a job as the API shows it.
    pub(crate) fn view(&self, job: &Value) -> Result<JobView, ClientError> {
        JobView::deserialize(job).map_err(|source| self.garbled(source))
    }

    /// A path whose last parts may be any text.
    fn below(&self, path: &str, parts: &[&str]) -> Url {
        let mut url = self.url(path);
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(parts);
        }
        url
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let path = format!("{}{path}", self.base.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// The query of the next page, from the `Link` header.
fn next_query(response: &Response) -> Option<String> {
    let links = response.headers().get_all(LINK).iter().filter_map(|link| link.to_str().ok());
    links.flat_map(|links| links.split(',')).find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let query = target.split_once('?').map(|(_, query)| query.to_owned());
        query.filter(|_| parameters.contains("rel=\"next\""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_this_machine() {
        let is = |url: &str| is_this_machine(&Url::parse(url).unwrap());
        assert!(is("http://127.0.0.1:8000") && is("http://localhost") && is("http://[::1]:1"));
        assert!(!is("http://10.0.0.1") && !is("https://example.org"));
    }
}
