//! What users do, as goose transactions. Each takes its start from the schedule, and not from when the
//! one before was done.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use goose::GooseError;
use goose::goose::{
    GooseMethod, GooseRequest, GooseUser, Scenario, Transaction, TransactionError,
    TransactionFunction, TransactionResult,
};
use jetlane_tests::Frames;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::shared::{Shared, Visit};

/// What is followed ends within this, or counts as failed.
const LIMIT: Duration = Duration::from_secs(30);

/// How many jobs a batch holds.
const BATCH: u64 = 100;

/// How long who only watches stays.
const VISIT: Duration = Duration::from_secs(5);

/// How long a user who has nothing more to do waits to be told so.
const IDLE: Duration = Duration::from_millis(100);

/// What a user may do at an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Submits a job.
    Submit,
    /// Submits a job and follows its event stream to the final event.
    SubmitAndFollow,
    /// Submits many jobs by one request.
    Batch,
    /// Lists jobs and looks at one of them.
    Poll,
    /// Watches all jobs for a while.
    Watch,
}

impl Kind {
    /// Every kind.
    const ALL: [Self; 5] =
        [Self::Submit, Self::SubmitAndFollow, Self::Batch, Self::Poll, Self::Watch];

    /// Its one spelling.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::SubmitAndFollow => "submit_and_follow",
            Self::Batch => "batch",
            Self::Poll => "poll",
            Self::Watch => "watch",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        kind.ok_or_else(|| format!("there are {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// A kind, and how often it comes among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weighted {
    pub(crate) kind: Kind,
    pub(crate) weight: usize,
}

impl FromStr for Weighted {
    type Err = String;

    /// `poll`, or `poll=3`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, weight) = text.split_once('=').unwrap_or((text, "1"));
        let weight = weight.parse().ok().filter(|weight| *weight > 0);
        Ok(Self {
            kind: name.parse()?,
            weight: weight.ok_or("a weight is a whole number above 0")?,
        })
    }
}

/// What users do who come for one thing.
pub(super) fn scenario(
    Weighted { kind, weight }: Weighted,
    shared: &Arc<Shared>,
) -> Result<Scenario, GooseError> {
    Scenario::new(kind.as_str()).register_transaction(transaction(kind, shared)).set_weight(weight)
}

fn transaction(kind: Kind, shared: &Arc<Shared>) -> Transaction {
    let shared = Arc::clone(shared);
    let function: TransactionFunction = Arc::new(move |user| {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            let Some(visit) = shared.next(kind).await else {
                sleep(IDLE).await;
                return Ok(());
            };
            let done = act(kind, user, &shared, visit).await;
            shared.note(visit, done.is_ok());
            done
        }) as Pin<Box<dyn Future<Output = TransactionResult> + Send>>
    });
    Transaction::new(function).set_name(kind.as_str())
}

async fn act(kind: Kind, user: &mut GooseUser, shared: &Shared, visit: Visit) -> TransactionResult {
    match kind {
        Kind::Submit => submit(user, shared, visit).await.map(drop),
        Kind::SubmitAndFollow => {
            let id = submit(user, shared, visit).await?;
            follow(user, shared, &id).await
        }
        Kind::Batch => batch(user, shared, visit).await,
        Kind::Poll => poll(user, shared).await,
        Kind::Watch => watch(user, shared).await,
    }
}

/// Submits the job of an arrival, and returns its id.
async fn submit(
    user: &mut GooseUser,
    shared: &Shared,
    visit: Visit,
) -> Result<String, Box<TransactionError>> {
    let job = shared.job(visit);
    let answer = ask(user, shared, GooseMethod::Post, "/jobs", "submit", Some(job)).await?;
    shared.note_accepted(visit, 1);
    Ok(answer["id"].as_str().unwrap_or_default().to_owned())
}

async fn batch(user: &mut GooseUser, shared: &Shared, visit: Visit) -> TransactionResult {
    let jobs: Vec<_> = (0..BATCH).map(|_| shared.job(visit)).collect();
    let body = json!({ "jobs": jobs });
    let answer = ask(user, shared, GooseMethod::Post, "/jobs:batch", "batch", Some(body)).await?;
    let accepted = answer["accepted"].as_u64().unwrap_or_default();
    shared.note_accepted(visit, accepted);
    if accepted < BATCH { failed("jobs of a batch were refused") } else { Ok(()) }
}

async fn poll(user: &mut GooseUser, shared: &Shared) -> TransactionResult {
    let list = ask(user, shared, GooseMethod::Get, "/jobs?limit=20", "list", None).await?;
    if let Some(id) = list[0]["id"].as_str() {
        let path = format!("/jobs/{id}");
        ask(user, shared, GooseMethod::Get, &path, "status", None).await?;
    }
    Ok(())
}

/// Reads a job's events until it has completed.
async fn follow(user: &mut GooseUser, shared: &Shared, id: &str) -> TransactionResult {
    let path = format!("/jobs/{id}/events");
    let mut has_failed = false;
    let end = read_stream(user, shared, &path, "follow", |event| {
        has_failed = event["kind"] == "failed" || event["kind"] == "cancelled";
        has_failed || event["kind"] == "completed"
    });
    match timeout(LIMIT, end).await {
        Ok(Ok(true)) if has_failed => failed("the job failed"),
        Ok(Ok(true)) => Ok(()),
        Ok(Err(error)) => Err(error),
        Ok(Ok(false)) => failed("the stream ended before the job"),
        Err(_) => failed("the job did not end in time"),
    }
}

/// Reads what happens to all jobs.
async fn watch(user: &mut GooseUser, shared: &Shared) -> TransactionResult {
    match timeout(VISIT, read_stream(user, shared, "/events", "watch", |_| false)).await {
        // Who visits leaves while the stream is open.
        Err(_) => Ok(()),
        Ok(ended) => ended.and_then(|_| failed("the stream ended by itself")),
    }
}

/// Reads a stream of events until one of them is the `last`; false if there was none.
async fn read_stream(
    user: &mut GooseUser,
    shared: &Shared,
    path: &str,
    name: &str,
    mut last: impl FnMut(&Value) -> bool,
) -> Result<bool, Box<TransactionError>> {
    let path = shared.path(path);
    let builder = shared.authorized(user.get_request_builder(&GooseMethod::Get, &path)?);
    let request = GooseRequest::builder().name(name).set_request_builder(builder).build();
    let response = user.request(request).await?.response?;
    let mut frames = Frames::default();
    let mut bytes = response.bytes_stream();
    while let Some(Ok(chunk)) = bytes.next().await {
        for frame in frames.push(&chunk) {
            if last(&serde_json::from_str(&frame.data).unwrap_or_default()) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn failed(why: &str) -> TransactionResult {
    Err(Box::new(TransactionError::Custom(why.to_owned())))
}

/// A request whose answer is JSON. One that fails counts as failed with goose too.
async fn ask(
    user: &mut GooseUser,
    shared: &Shared,
    method: GooseMethod,
    path: &str,
    name: &str,
    body: Option<Value>,
) -> Result<Value, Box<TransactionError>> {
    let path = shared.path(path);
    let mut builder = shared.authorized(user.get_request_builder(&method, &path)?);
    if let Some(body) = body {
        builder = builder.json(&body);
    }
    let request =
        GooseRequest::builder().name(name).error_on_fail().set_request_builder(builder).build();
    let answer = user.request(request).await?;
    Ok(answer.response?.json().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_may_have_a_weight() {
        assert_eq!("poll=3".parse(), Ok(Weighted { kind: Kind::Poll, weight: 3 }));
        assert_eq!("submit".parse(), Ok(Weighted { kind: Kind::Submit, weight: 1 }));
        for wrong in ["pol", "poll=", "poll=0", "poll=-1", ""] {
            assert!(wrong.parse::<Weighted>().is_err(), "{wrong}");
        }
    }
}
