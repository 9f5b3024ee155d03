//! The floor: the durable steps of a job with bare clients, and nothing else.
//!
//! A row is inserted and committed, a message goes through a JetStream work queue to a pull
//! consumer, the row is updated and committed, and a core NATS message tells a subscriber. No
//! batching; each step is what a careful program would do at least, over pooled connections with
//! prepared statements.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use async_nats::jetstream;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType};
use futures_util::StreamExt;
use jetlane_devstack::Devstack;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::{Mutex, Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use crate::latency::{Latency, Summary};
use crate::pace::{Arrivals, Schedule};
use crate::report::Steps;

/// So many chains are under way at once, at most.
pub(crate) const CHAINS: usize = 32;

/// What is still under way may take so long.
const LIMIT: Duration = Duration::from_secs(20);

const SUBJECT: &str = "floor.work";
const STARTED: &str = "floor.started";
const STEP: &str = "floor.step";

/// Bare clients of both servers.
#[derive(Debug)]
pub(crate) struct Floor {
    ledger: PgPool,
    nats: async_nats::Client,
    jetstream: jetstream::Context,
    consumer: PullConsumer,
}

/// What a run of chains came to.
#[derive(Debug)]
pub(crate) struct Chains {
    /// From when it was due until the subscriber was told.
    pub(crate) latency: Latency,
    /// From the first start to the last end.
    pub(crate) took: Duration,
}

impl Floor {
    /// Makes a database and a stream of its own in `servers`.
    ///
    /// # Errors
    ///
    /// If they do not let it.
    pub(crate) async fn lay(servers: &Devstack) -> anyhow::Result<Self> {
        let name = format!("floor_{}", Uuid::now_v7().simple());
        servers.postgres.create_database(&name).await?;
        let connections = u32::try_from(2 * CHAINS)?;
        let ledger = PgPoolOptions::new()
            .min_connections(connections)
            .max_connections(connections)
            .test_before_acquire(false)
            .connect(&servers.postgres.url(&name))
            .await?;
        let table = "CREATE TABLE jobs (
            id uuid PRIMARY KEY, name text NOT NULL, state text NOT NULL, params jsonb NOT NULL
        )";
        sqlx::query(table).execute(&ledger).await?;

        let nats = async_nats::connect(servers.nats.url()).await?;
        let jetstream = jetstream::new(nats.clone());
        let stream = Config {
            name: "FLOOR".to_owned(),
            subjects: vec![SUBJECT.to_owned()],
            retention: RetentionPolicy::WorkQueue,
            storage: StorageType::File,
            ..Config::default()
        };
        let stream = jetstream.create_stream(stream).await?;
        let consumer =
            pull::Config { durable_name: Some("floor".to_owned()), ..pull::Config::default() };
        let consumer = stream.create_consumer(consumer).await?;
        Ok(Self { ledger, nats, jetstream, consumer })
    }

    /// Runs a chain for every arrival of the schedule.
    ///
    /// # Errors
    ///
    /// If a step fails, or what was begun does not end.
    pub(crate) async fn at(&self, schedule: Schedule) -> anyhow::Result<Chains> {
        let arrivals = Arrivals::new(schedule);
        arrivals.begin();
        self.run(move || {
            let arrivals = Arc::clone(&arrivals);
            async move { arrivals.next().await.map(|arrival| arrival.due) }
        })
        .await
    }

    /// Runs as many chains as it can for `span`.
    ///
    /// # Errors
    ///
    /// If a step fails, or what was begun does not end.
    pub(crate) async fn flat_out(&self, span: Duration) -> anyhow::Result<Chains> {
        let end = Instant::now() + span;
        self.run(move || async move { Some(Instant::now()).filter(|now| *now < end) }).await
    }

    /// Takes single steps for `span` each, one after the other.
    ///
    /// # Errors
    ///
    /// If one fails.
    pub(crate) async fn steps(&self, span: Duration) -> anyhow::Result<Steps> {
        let commit = repeat(span, || insert(&self.ledger, Uuid::now_v7(), 0)).await?;

        let told = Mutex::new(self.nats.subscribe(STEP).await?);
        self.nats.flush().await?;
        let core_nats = repeat(span, || async {
            self.nats.publish(STEP, "0".into()).await?;
            let mut told = told.lock().await;
            timeout(LIMIT, told.next()).await.context("no message")?.context("no messages")?;
            Ok(())
        });
        let core_nats = core_nats.await?;
        told.into_inner().unsubscribe().await?;

        let stream = Config {
            name: "FLOOR_STEP".to_owned(),
            subjects: vec![STEP.to_owned()],
            storage: StorageType::File,
            ..Config::default()
        };
        self.jetstream.create_stream(stream).await?;
        let jetstream = repeat(span, || async {
            self.jetstream.publish(STEP, "0".into()).await?.await?;
            Ok(())
        });
        let jetstream = jetstream.await?;
        self.jetstream.delete_stream("FLOOR_STEP").await?;
        Ok(Steps { commit, core_nats, jetstream })
    }

    /// Runs chains as long as `next` says when one is due.
    async fn run<F>(&self, next: impl Fn() -> F + Send + Sync + 'static) -> anyhow::Result<Chains>
    where
        F: Future<Output = Option<Instant>> + Send,
    {
        let mut told = self.nats.subscribe(STARTED).await?;
        self.nats.flush().await?;
        let worker = Worker {
            ledger: self.ledger.clone(),
            nats: self.nats.clone(),
            room: Arc::new(Semaphore::new(CHAINS)),
        };
        let began = Instant::now();
        let starts: Arc<Mutex<Vec<Start>>> = Arc::default();
        let next = Arc::new(next);
        let mut tasks = JoinSet::new();
        let consumer = self.consumer.clone();
        let mut background = JoinSet::new();
        background.spawn(async move { worker.work(&consumer).await });

        for _ in 0..CHAINS {
            let (next, starts) = (Arc::clone(&next), Arc::clone(&starts));
            let (ledger, jetstream) = (self.ledger.clone(), self.jetstream.clone());
            tasks.spawn(async move {
                while let Some(due) = next().await {
                    let told = Arc::new(Notify::new());
                    let n = {
                        let mut starts = starts.lock().await;
                        starts.push(Start { due, told: Arc::clone(&told) });
                        starts.len() - 1
                    };
                    submit(&ledger, &jetstream, n).await?;
                    timeout(LIMIT, told.notified()).await.context("a chain did not end")?;
                }
                anyhow::Ok(())
            });
        }

        let mut latency = Latency::new();
        let mut last = began;
        loop {
            tokio::select! {
                biased;
                Some(message) = told.next() => {
                    let n = std::str::from_utf8(&message.payload)?.parse::<usize>()?;
                    last = Instant::now();
                    let starts = starts.lock().await;
                    let start = starts.get(n).context("a chain ended that was not begun")?;
                    latency.record(last - start.due);
                    start.told.notify_one();
                }
                Some(ended) = background.join_next() => {
                    ended??;
                    bail!("the floor's worker ended");
                }
                ended = tasks.join_next() => match ended {
                    Some(ended) => ended??,
                    None => break,
                }
            }
        }
        told.unsubscribe().await?;
        Ok(Chains { latency, took: last - began })
    }
}

/// How long each of many steps took, one after the other.
async fn repeat<F>(span: Duration, step: impl Fn() -> F) -> anyhow::Result<Summary>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let began = Instant::now();
    let mut latency = Latency::new();
    while began.elapsed() < span {
        let began = Instant::now();
        step().await?;
        latency.record(began.elapsed());
    }
    Ok(latency.summary())
}

/// A chain under way.
#[derive(Debug)]
struct Start {
    due: Instant,
    told: Arc<Notify>,
}

/// Accepts job `n` and rings for it.
async fn submit(ledger: &PgPool, jetstream: &jetstream::Context, n: usize) -> anyhow::Result<()> {
    let id = Uuid::now_v7();
    insert(ledger, id, n).await?;
    jetstream.publish(SUBJECT, format!("{id} {n}").into()).await?.await?;
    Ok(())
}

async fn insert(ledger: &PgPool, id: Uuid, n: usize) -> anyhow::Result<()> {
    sqlx::query("INSERT INTO jobs (id, name, state, params) VALUES ($1, $2, 'queued', '{}')")
        .bind(id)
        .bind(n.to_string())
        .execute(ledger)
        .await?;
    Ok(())
}

#[derive(Clone)]
struct Worker {
    ledger: PgPool,
    nats: async_nats::Client,
    room: Arc<Semaphore>,
}

impl Worker {
    /// Starts what comes, for ever.
    async fn work(self, consumer: &PullConsumer) -> anyhow::Result<()> {
        let mut messages = consumer.messages().await?;
        let mut running = JoinSet::new();
        while let Some(message) = messages.next().await {
            let message = message?;
            let place = Arc::clone(&self.room).acquire_owned().await?;
            let worker = self.clone();
            running.spawn(async move {
                let _place = place;
                worker.start(message).await
            });
            while let Some(ended) = running.try_join_next() {
                ended??;
            }
        }
        Ok(())
    }

    async fn start(&self, message: jetstream::Message) -> anyhow::Result<()> {
        let text = std::str::from_utf8(&message.payload)?;
        let (id, n) = text.split_once(' ').context("no message of the floor")?;
        let id: Uuid = id.parse()?;
        let n = n.to_owned();
        sqlx::query("UPDATE jobs SET state = 'running' WHERE id = $1 AND state = 'queued'")
            .bind(id)
            .execute(&self.ledger)
            .await?;
        self.nats.publish(STARTED, n.into()).await?;
        message.ack().await.map_err(|error| anyhow::anyhow!(error))?;
        Ok(())
    }
}
