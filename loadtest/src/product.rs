//! Jetlane under a load: jobs that do nothing, submitted one by one over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;
use tokio::time::timeout_at;
use uuid::Uuid;

use crate::feed::Feed;
use crate::hops::Hops;
use crate::http::Connection;
use crate::latency::{Latency, Summary};
use crate::pace::{Arrivals, Schedule};

/// What was accepted may take so long to end once all of it was submitted.
const LIMIT: Duration = Duration::from_secs(20);

/// The same where jobs may come faster than they end.
const FLAT_OUT_LIMIT: Duration = Duration::from_mins(5);

/// Nothing takes less time.
const PARAMS: &str = r#"{"duration_ms":0}"#;

/// What a run at a rate came to. Times count from when a job was due to be submitted.
#[derive(Debug)]
pub(crate) struct Run {
    /// Until its request was sent: how late we were ourselves.
    pub(crate) lateness: Latency,
    /// Until it was accepted.
    pub(crate) accepted: Latency,
    /// Until the watcher was told that it runs.
    pub(crate) running: Latency,
    /// Until the watcher was told that it has ended.
    pub(crate) ended: Latency,
    pub(crate) hops: Hops,
    /// Jobs that were to be submitted.
    pub(crate) due: u64,
    /// Jobs that were not accepted.
    pub(crate) refused: u64,
    /// Accepted jobs whose end was not told within the limit.
    pub(crate) untold: u64,
}

impl Run {
    /// Adds another at the same rate.
    pub(crate) fn add(&mut self, other: &Self) {
        self.lateness.add(&other.lateness);
        self.accepted.add(&other.accepted);
        self.running.add(&other.running);
        self.ended.add(&other.ended);
        self.hops.add(&other.hops);
        self.due += other.due;
        self.refused += other.refused;
        self.untold += other.untold;
    }
}

/// What one client has seen.
#[derive(Debug)]
struct Client {
    lateness: Latency,
    accepted: Latency,
    refused: u64,
    submitted: u64,
}

impl Client {
    fn new() -> Self {
        Self { lateness: Latency::new(), accepted: Latency::new(), refused: 0, submitted: 0 }
    }
}

/// Submits a job to `api` for every arrival of the schedule, on at most `clients` connections, and
/// watches all of them to their ends on `watched`.
///
/// # Errors
///
/// If a connection breaks.
pub(crate) async fn at(
    api: SocketAddr,
    watched: SocketAddr,
    schedule: Schedule,
    clients: usize,
) -> anyhow::Result<Run> {
    let mut feed = Feed::open(watched, "/events").await?;
    // What comes late of another run is none of this one's.
    let names = format!("{}-", Uuid::now_v7().simple());
    let arrivals = Arrivals::new(schedule);
    arrivals.begin();
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let connection = Connection::open(api, "/jobs").await?;
        tasks.spawn(submit_at(connection, Arc::clone(&arrivals), names.clone()));
    }

    let mut run = Run {
        lateness: Latency::new(),
        accepted: Latency::new(),
        running: Latency::new(),
        ended: Latency::new(),
        hops: Hops::new(),
        due: 0,
        refused: 0,
        untold: 0,
    };
    let mut ended = 0;
    let mut deadline = None;
    loop {
        let is_all = deadline.is_some() && ended >= run.due - run.refused;
        if is_all || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            break;
        }
        let until = deadline.unwrap_or_else(|| Instant::now() + LIMIT);
        tokio::select! {
            joined = tasks.join_next(), if !tasks.is_empty() => {
                let client = joined.context("no client")???;
                run.lateness.add(&client.lateness);
                run.accepted.add(&client.accepted);
                run.refused += client.refused;
                run.due += client.submitted;
                if tasks.is_empty() {
                    deadline = Some(Instant::now() + LIMIT);
                }
            }
            heard = timeout_at(until.into(), feed.next()) => {
                let Ok(heard) = heard else { continue };
                let heard = heard?;
                for told in heard.told {
                    let Some(n) = told.name.strip_prefix(&names).and_then(|n| n.parse().ok()) else {
                        continue;
                    };
                    run.hops.note(&told, heard.by_the_clock);
                    let Some(due) = arrivals.due(n) else { continue };
                    match told.kind.as_str() {
                        "running" => run.running.record(heard.at - due),
                        "completed" => {
                            run.ended.record(heard.at - due);
                            ended += 1;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    run.untold = (run.due - run.refused).saturating_sub(ended);
    Ok(run)
}

async fn submit_at(
    mut connection: Connection,
    arrivals: Arc<Arrivals>,
    names: String,
) -> anyhow::Result<Client> {
    let mut client = Client::new();
    while let Some(arrival) = arrivals.next().await {
        client.lateness.record(arrival.due.elapsed());
        let body = format!(r#"{{"name":"{names}{}","params":{PARAMS}}}"#, arrival.n);
        client.submitted += 1;
        if connection.post(&body).await? == 201 {
            client.accepted.record(arrival.due.elapsed());
        } else {
            client.refused += 1;
        }
    }
    Ok(client)
}

/// What a run with as many jobs as it takes came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FlatOut {
    /// Jobs accepted per second.
    pub(crate) accepted_per_s: f64,
    /// Jobs completed per second, all that was accepted included.
    pub(crate) completed_per_s: f64,
    pub(crate) jobs: u64,
    /// That wrote to the ledger.
    pub(crate) transactions: u64,
    /// Requests, from being sent to their answer.
    pub(crate) accept: Summary,
}

/// How often the ledger is asked whether all is done.
const LOOK_PERIOD: Duration = Duration::from_millis(50);

/// Who submits as many jobs as are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clients {
    /// So many connections, each with one request after the other.
    pub(crate) count: usize,
    /// So many jobs in each request; one goes where single jobs go.
    pub(crate) batch: usize,
}

impl Clients {
    /// Where a request goes, what it says, and how one is answered that was accepted whole.
    fn request(self) -> (&'static str, String, u16) {
        let job = format!(r#"{{"name":"flat out","params":{PARAMS}}}"#);
        if self.batch == 1 {
            return ("/jobs", job, 201);
        }
        let jobs = vec![job; self.batch].join(",");
        ("/jobs:batch", format!(r#"{{"all_or_nothing":true,"jobs":[{jobs}]}}"#), 200)
    }
}

/// Submits jobs, each client as fast as it is answered, for `span`; then waits until all of them
/// have completed, by the ledger.
///
/// # Errors
///
/// If a connection breaks, a job is refused, or one is not completed in time.
pub(crate) async fn flat_out(
    apis: &[SocketAddr],
    database_url: &str,
    clients: Clients,
    span: Duration,
) -> anyhow::Result<FlatOut> {
    let (path, body, accepted) = clients.request();
    let body: Arc<str> = body.into();
    let mut ledger = PgConnection::connect(database_url).await?;
    let before = completed(&mut ledger).await?;
    let transactions_before = transactions(&mut ledger).await?;
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for n in 0..clients.count {
        let mut connection = Connection::open(apis[n % apis.len()], path).await?;
        let body = Arc::clone(&body);
        tasks.spawn(async move {
            let mut latency = Latency::new();
            while began.elapsed() < span {
                let sent = Instant::now();
                let status = connection.post(&body).await?;
                ensure!(status == accepted, "a request was answered with {status}");
                latency.record(sent.elapsed());
            }
            anyhow::Ok(latency)
        });
    }
    let mut latency = Latency::new();
    while let Some(ended) = tasks.join_next().await {
        latency.add(&ended??);
    }
    let submitting = began.elapsed();
    let accept = latency.summary();
    let count = accept.count * u64::try_from(clients.batch)?;
    let deadline = Instant::now() + FLAT_OUT_LIMIT;
    while is_any_left(&mut ledger).await? {
        ensure!(Instant::now() < deadline, "not all jobs ended within {FLAT_OUT_LIMIT:?}");
        tokio::time::sleep(LOOK_PERIOD).await;
    }
    let took = began.elapsed();
    ensure!(completed(&mut ledger).await? - before == count, "not all jobs have completed");
    #[expect(clippy::cast_precision_loss, reason = "a count of jobs of some minutes")]
    let jobs = count as f64;
    Ok(FlatOut {
        accepted_per_s: jobs / submitting.as_secs_f64(),
        completed_per_s: jobs / took.as_secs_f64(),
        jobs: count,
        transactions: transactions(&mut ledger).await? - transactions_before,
        accept,
    })
}

/// Whether a job waits or runs: to count those that do not would be a load of its own.
async fn is_any_left(ledger: &mut PgConnection) -> anyhow::Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM jobs WHERE state IN ('scheduled', 'queued'))
                   OR EXISTS (SELECT FROM jobs WHERE state = 'running')";
    Ok(sqlx::query_scalar(sql).fetch_one(ledger).await?)
}

/// How many jobs the ledger has that have completed.
///
/// # Errors
///
/// If it does not answer.
pub(crate) async fn completed(ledger: &mut PgConnection) -> anyhow::Result<u64> {
    let sql = "SELECT count(*) FROM jobs WHERE state = 'completed'";
    let count: i64 = sqlx::query_scalar(sql).fetch_one(ledger).await?;
    Ok(u64::try_from(count)?)
}

/// How many numbers the server has given to transactions; one that wrote nothing has none.
async fn transactions(ledger: &mut PgConnection) -> anyhow::Result<u64> {
    let sql = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
    let count: i64 = sqlx::query_scalar(sql).fetch_one(ledger).await?;
    Ok(u64::try_from(count)?)
}
