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
        let base = Url::parse(address).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
        let base =
            base.with_context(|| format!("`{address}` is no http:// or https:// address"))?;

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

    /// Where it is.
    pub(crate) fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Submits a job, and returns it.
    pub(crate) async fn submit(&self, job: &NewJob) -> Result<Value, ClientError> {
        let request = self.client.post(self.url("/jobs")).json(job).timeout(TIMEOUT);
        self.read(self.send(request).await?).await
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

    /// Whether the API can do its work, as it says itself.
    pub(crate) async fn ready(&self) -> Result<Value, ClientError> {
        self.get(self.url("/ready")).await
    }

    /// Whether the process at this address says that it is alive.
    pub(crate) async fn is_healthy(&self) -> bool {
        self.get(self.url("/health")).await.is_ok()
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

    async fn get(&self, url: Url) -> Result<Value, ClientError> {
        self.read(self.send(self.client.get(url).timeout(TIMEOUT)).await?).await
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
