//! The real ledger does what the model does.

use std::time::Duration;

use jetlane_core::domain::{
    ConcurrencyLimit, ErrorKind, EventKind, Frees, JobError, JobId, JobPatch, JobState, LaneName,
    Lease, NewJob, Outcome, RetryPolicy, RunAt, Settlement, TenantName, Tool, WorkerId,
};
use jetlane_core::store::{
    Claim, FeedFilter, FeedKey, Held, Ledger, PoolSettings, RESTED, connect, migrate,
};
use jetlane_devstack::TestDatabase;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use crate::chance::{Answer, History, Step, pick, step};
use crate::spec::{End, Key, Limit};

const LEASE: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(4);

/// How many histories, and how long each is.
const HISTORIES: u32 = 20;
const STEPS: usize = 120;

/// Every answer is compared at once; the jobs and all that was told of them,
/// after so many steps.
const COMPARED: usize = 30;

/// Names the seed of a failure that is to be seen again.
const SEED: &str = "JETLANE_SEED";

/// The ledger beside the model: job by job, attempt by attempt.
struct Real {
    ledger: Ledger,
    pool: PgPool,
    jobs: Vec<JobId>,
    keys: Vec<Option<Key>>,
    workers: Vec<WorkerId>,
    begun: Vec<(usize, usize, i32)>,
    now: u64,
    _database: TestDatabase,
}

async fn given_a_ledger() -> Real {
    let database = jetlane_devstack::database(|url| async move { migrate(&url).await.map(drop) })
        .await
        .unwrap();
    let settings = PoolSettings {
        url: database.url.clone(),
        application_name: "model-test",
        max_connections: 4,
        acquire_timeout: Duration::from_secs(20),
        rested: RESTED,
    };
    let mut real = Real {
        ledger: Ledger::new(connect(&settings).await.unwrap()),
        pool: PgPoolOptions::new().max_connections(1).connect_lazy(&database.url).unwrap(),
        jobs: Vec::new(),
        keys: Vec::new(),
        workers: Vec::new(),
        begun: Vec::new(),
        now: 0,
        _database: database,
    };
    real.set_clock().await;
    for _ in 0..3 {
        let worker = WorkerId(Uuid::now_v7());
        real.ledger.register_worker(worker, 4).await.unwrap();
        real.workers.push(worker);
    }
    real.limit(Key::Sequence, Limit::Sequential).await;
    real
}

fn name(key: Key) -> String {
    format!("{key:?}")
}

impl Real {
    /// The ledger's clock stands still between steps, as the model's does.
    async fn set_clock(&mut self) {
        let text = format!(
            "CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql STABLE
             RETURN timestamptz '2040-01-01T00:00:00Z' + interval '{} ms'",
            self.now
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&self.pool).await.unwrap();
    }

    async fn take(&mut self, step: &Step) -> Answer {
        match *step {
            Step::Accept { delay, priority, key } => {
                self.accept(delay, priority, key).await;
            }
            Step::Change { job, priority } => {
                if let Some(id) = pick(&self.jobs, job) {
                    let patch = JobPatch { priority: Some(priority), ..JobPatch::default() };
                    let tenant = TenantName::default();
                    self.ledger.update(&tenant, id, patch).await.map(drop).unwrap();
                }
            }
            Step::Limit(limit) => self.limit(Key::Changing, limit).await,
            Step::Promote => drop(self.ledger.promote().await.unwrap()),
            Step::Claim { worker, room } => return self.claim(worker, room).await,
            Step::ClaimIsolated { worker } => return self.claim_isolated(worker).await,
            Step::Renew { worker } => return self.renew(worker).await,
            Step::Settle { begun, end } => {
                if let Some((_, id, attempt)) = pick(&self.begun, begun) {
                    return self.settle(id, attempt, end).await;
                }
            }
            Step::Cancel { job } => {
                if let Some(id) = pick(&self.jobs, job) {
                    self.ledger.cancel(&TenantName::default(), id).await.map(drop).unwrap();
                }
            }
            Step::Reap => drop(self.ledger.reap(SILENCE).await.unwrap()),
            Step::Redrive { job } => {
                if let Some(id) = pick(&self.jobs, job) {
                    drop(self.ledger.redrive(&TenantName::default(), vec![id]).await.unwrap());
                }
            }
            Step::Advance { by } => {
                self.now += by;
                self.set_clock().await;
            }
        }
        Answer::Nothing
    }

    async fn accept(&mut self, delay: u64, priority: i32, key: Option<Key>) {
        let start: chrono::DateTime<chrono::Utc> = "2040-01-01T00:00:00Z".parse().unwrap();
        let due = start + Duration::from_millis(self.now + delay);
        let new = NewJob {
            id: JobId(Uuid::now_v7()),
            tenant: TenantName::default(),
            lane: LaneName::default(),
            name: "x".to_owned(),
            tool: Tool::Simulate,
            params: serde_json::Map::new(),
            priority,
            submitted_by: None,
            run_at: if delay == 0 { RunAt::Now } else { RunAt::At(due) },
            start_by: None,
            timeout: None,
            max_attempts: None,
            retry: RetryPolicy::default(),
            concurrency_key: key.map(name),
            traceparent: None,
            idempotency: None,
        };
        self.jobs.push(new.id);
        self.keys.push(key);
        self.ledger.accept(vec![new]).await.map(drop).unwrap();
    }

    async fn limit(&self, key: Key, limit: Limit) {
        let limit = match limit {
            Limit::Parallel(most) => ConcurrencyLimit::Parallel(i32::try_from(most).unwrap()),
            Limit::Sequential => ConcurrencyLimit::Sequential,
        };
        let tenant = TenantName::default();
        self.ledger.limit_concurrency(&tenant, name(key), limit).await.map(drop).unwrap();
    }

    async fn claim(&mut self, worker: usize, room: usize) -> Answer {
        let room = i32::try_from(room).unwrap();
        let claim = Claim {
            lane: LaneName::default(),
            worker: self.workers[worker],
            shares: vec![(TenantName::default(), room)],
            gpu_ids: (0..room).collect(),
            lease: LEASE,
        };
        let jobs = self.ledger.claim(&claim).await.unwrap().jobs;
        Answer::Leases(jobs.iter().map(|job| self.note_begun(worker, job.lease)).collect())
    }

    async fn claim_isolated(&mut self, worker: usize) -> Answer {
        let lane = LaneName::default();
        let id = self.workers[worker];
        // Whoever reserved it before has lost interest.
        sqlx::query("UPDATE jobs SET isolated_for = NULL").execute(&self.pool).await.unwrap();
        self.ledger.reserve_isolated(&lane, id).await.unwrap();
        let claims = self.ledger.claim_isolated(&lane, id, 0, LEASE).await.unwrap();
        let jobs = claims.map(|claims| claims.jobs).unwrap_or_default();
        Answer::Leases(jobs.iter().map(|job| self.note_begun(worker, job.lease)).collect())
    }

    fn note_begun(&mut self, worker: usize, lease: Lease) -> (usize, i32) {
        let (id, attempt) = self.known(lease);
        self.begun.push((worker, id, attempt));
        (id, attempt)
    }

    /// A lease as the model knows it.
    fn known(&self, lease: Lease) -> (usize, i32) {
        (self.jobs.iter().position(|id| *id == lease.job_id).unwrap(), lease.attempt)
    }

    async fn renew(&self, worker: usize) -> Answer {
        let held: Vec<_> = self
            .begun
            .iter()
            .filter(|(holder, ..)| *holder == worker)
            .map(|(_, id, attempt)| Held {
                lease: Lease { job_id: self.jobs[*id], attempt: *attempt },
                progress: None,
            })
            .collect();
        let renewed = self.ledger.renew(self.workers[worker], &held, LEASE).await.unwrap();
        let mut renewed: Vec<_> = renewed.iter().map(|held| self.known(held.lease)).collect();
        renewed.sort_unstable();
        Answer::Leases(renewed)
    }

    async fn settle(&self, id: usize, attempt: i32, end: End) -> Answer {
        let error = |kind| JobError { kind, message: "as the model says".to_owned() };
        let settlement = Settlement {
            lease: Lease { job_id: self.jobs[id], attempt },
            frees: if self.keys[id].is_some() { Frees::Key } else { Frees::Slot },
            outcome: match end {
                End::Completed => Outcome::Completed { result: None },
                End::Retry { after } => Outcome::Retry {
                    after: Duration::from_millis(after),
                    error: error(ErrorKind::Transient),
                },
                End::Failed => Outcome::Failed { error: error(ErrorKind::Permanent) },
                End::Released => Outcome::Released,
                End::Cancelled => Outcome::Cancelled,
            },
            execution_time: Duration::ZERO,
        };
        let change = self.ledger.settle(vec![settlement]).await.unwrap();
        Answer::Settled(!change.unsent.is_empty())
    }

    async fn events(&self, id: JobId) -> Vec<(EventKind, JobState, i32)> {
        let filter = FeedFilter { job_ids: vec![id], ..FeedFilter::default() };
        let start = FeedKey { xid: 0, job_id: JobId(Uuid::nil()), seq: 0 };
        let tenant = TenantName::default();
        let events = self.ledger.replay(&tenant, &filter, start, i64::MAX, 1000).await.unwrap();
        assert!(events.iter().zip(1..).all(|(event, n)| event.seq == n), "{events:?}");
        events.into_iter().map(|event| (event.kind, event.state, event.attempt)).collect()
    }

    /// Nobody is reaped just after PostgreSQL started.
    async fn until_reaping_counts(&self) {
        loop {
            let is_past: bool =
                sqlx::query_scalar("SELECT pg_postmaster_start_time() < now() - interval '10 s'")
                    .fetch_one(&self.pool)
                    .await
                    .unwrap();
            if is_past {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Compares every job with the model's.
    async fn compare(&self, history: &History) {
        for (id, model) in self.jobs.iter().zip(&history.model.jobs) {
            let job = self.ledger.find(&TenantName::default(), *id).await.unwrap().unwrap();
            assert_eq!(
                (job.state, job.attempt, job.failures, job.cancel_requested_at.is_some()),
                (model.state, model.attempt, model.failures, model.is_cancel_requested),
            );
            assert_eq!(self.events(*id).await, model.events);
        }
    }
}

#[tokio::test]
async fn the_ledger_does_what_the_model_does() {
    let given = std::env::var_os(SEED).map(|seed| seed.to_str().unwrap().parse().unwrap());
    let seed = given.unwrap_or_else(rand::random);
    println!("{SEED}={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut real = given_a_ledger().await;
    real.until_reaping_counts().await;
    for _ in 0..HISTORIES {
        let steps: Vec<_> = (0..STEPS).map(|_| step(&mut rng)).collect();
        real.forget().await;
        let mut history = History::new();
        for (n, step) in (1..).zip(&steps) {
            let expected = history.take(step);
            assert_eq!(real.take(step).await, expected, "{step:?}");
            if n % COMPARED == 0 {
                real.compare(&history).await;
            }
        }
    }
}

impl Real {
    /// Begins anew, as the model does.
    async fn forget(&mut self) {
        self.jobs.clear();
        self.keys.clear();
        self.begun.clear();
        self.now = 0;
        self.set_clock().await;
        self.limit(Key::Changing, Limit::default()).await;
        sqlx::raw_sql(
            "TRUNCATE jobs, job_events, outbox, idempotency_keys;
             UPDATE workers SET heartbeat_at = ledger_now()",
        )
        .execute(&self.pool)
        .await
        .unwrap();
    }
}
