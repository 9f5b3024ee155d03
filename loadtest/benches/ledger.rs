//! The ledger's hot statements against a PostgreSQL of its own.
//!
//! ```text
//! cargo bench -p jetlane-loadtest --bench ledger
//! ```
#![expect(clippy::unwrap_used, reason = "a benchmark that fails says where")]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jetlane_core::domain::{
    Change, Claimed, JobId, LaneName, NewJob, Outcome, RetryPolicy, RunAt, Settlement, TenantName,
    Tool, WorkerId,
};
use jetlane_core::store::{Claim, Claims, Held, Ledger, PoolSettings, RESTED, connect, migrate};
use jetlane_devstack::TestDatabase;
use serde_json::Map;
use tokio::runtime::Runtime;
use uuid::Uuid;

const LEASE: Duration = Duration::from_mins(10);

/// How many jobs are offered, claimed or settled by one statement.
const SIZES: [usize; 3] = [1, 8, 64];

/// A migrated ledger and a worker.
struct Given {
    ledger: Ledger,
    worker: WorkerId,
    _database: TestDatabase,
}

impl Given {
    async fn new() -> Self {
        let migrated = |url: String| async move { migrate(&url).await.map(drop) };
        let database = jetlane_devstack::database(migrated).await.unwrap();
        let settings = PoolSettings {
            url: database.url.clone(),
            application_name: "bench",
            max_connections: 2,
            acquire_timeout: Duration::from_secs(20),
            rested: RESTED,
        };
        let ledger = Ledger::new(connect(&settings).await.unwrap());
        let worker = WorkerId(Uuid::now_v7());
        ledger.register_worker(worker, 1).await.unwrap();
        Self { ledger, worker, _database: database }
    }

    async fn accept(&self, count: usize) -> Change {
        // Nobody listens to what is owed to NATS.
        let (answers, change) =
            self.ledger.accept((0..count).map(|_| job()).collect()).await.unwrap();
        assert_eq!(answers.len(), count);
        change
    }

    async fn claim(&self, count: usize) -> Claims {
        let slots = i32::try_from(count).unwrap();
        let request = Claim {
            lane: LaneName::default(),
            worker: self.worker,
            shares: vec![(TenantName::default(), slots)],
            gpu_ids: (0..slots).collect(),
            lease: LEASE,
        };
        let claims = self.ledger.claim(&request).await.unwrap();
        assert_eq!(claims.jobs.len(), count);
        claims
    }

    async fn settle(&self, jobs: Vec<Claimed>) -> Change {
        let settlements: Vec<_> = jobs
            .into_iter()
            .map(|job| Settlement {
                lease: job.lease,
                frees: job.frees,
                outcome: Outcome::Completed { result: None },
                execution_time: Duration::ZERO,
            })
            .collect();
        let count = settlements.len();
        let change = self.ledger.settle(settlements).await.unwrap();
        assert_eq!(change.events().count(), count);
        change
    }

    /// As the announcer does once NATS has it.
    async fn strike_out(&self, changes: [Change; 3]) {
        let ids: Vec<_> = changes
            .iter()
            .flat_map(|change| &change.unsent)
            .map(|unsent| unsent.outbox_id)
            .collect();
        self.ledger.strike_out(&ids).await.unwrap();
    }
}

fn job() -> NewJob {
    NewJob {
        id: JobId(Uuid::now_v7()),
        tenant: TenantName::default(),
        lane: LaneName::default(),
        name: "measured".to_owned(),
        tool: Tool::Simulate,
        params: Map::new(),
        priority: 0,
        submitted_by: None,
        run_at: RunAt::Now,
        timeout: None,
        start_by: None,
        max_attempts: None,
        retry: RetryPolicy::default(),
        concurrency_key: None,
        traceparent: None,
        idempotency: None,
    }
}

/// Each step of a job's life, many jobs at once: what comes before it and after it is not timed.
fn life(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let given = runtime.block_on(Given::new());
    for step in ["accept", "claim", "renew", "settle"] {
        let mut group = criterion.benchmark_group(step);
        for size in SIZES {
            group.throughput(Throughput::Elements(size as u64));
            group.bench_with_input(BenchmarkId::from_parameter(size), &size, |bench, size| {
                bench.to_async(&runtime).iter_custom(|rounds| timed(&given, step, *size, rounds));
            });
        }
        group.finish();
    }
}

async fn timed(given: &Given, step: &str, size: usize, rounds: u64) -> Duration {
    let mut took = Duration::ZERO;
    for _ in 0..rounds {
        let began = Instant::now();
        let accepted = given.accept(size).await;
        let accepting = began.elapsed();

        let began = Instant::now();
        let Claims { jobs, change: claimed, .. } = given.claim(size).await;
        let claiming = began.elapsed();

        let held: Vec<_> =
            jobs.iter().map(|job| Held { lease: job.lease, progress: None }).collect();
        let began = Instant::now();
        if step == "renew" {
            let renewed = given.ledger.renew(given.worker, &held, LEASE).await.unwrap();
            assert_eq!(renewed.len(), size);
        }
        let renewing = began.elapsed();

        let began = Instant::now();
        let settled = given.settle(jobs).await;
        let settling = began.elapsed();
        given.strike_out([accepted, claimed, settled]).await;

        took += match step {
            "accept" => accepting,
            "claim" => claiming,
            "renew" => renewing,
            _ => settling,
        };
    }
    took
}

criterion_group!(benches, life);
criterion_main!(benches);
