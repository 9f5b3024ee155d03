//! A ledger to measure, and jobs for it.

use std::time::{Duration, Instant};

use jetlane_core::domain::{
    Change, Claimed, JobId, LaneName, NewJob, Outcome, RetryPolicy, RunAt, Settlement, TenantName,
    Tool, WorkerId,
};
use jetlane_core::store::{Claim, Claims, Ledger, PoolSettings, RESTED, connect, migrate};
use jetlane_devstack::TestDatabase;
use serde_json::Map;
use uuid::Uuid;

/// Longer than a benchmark holds a job.
pub(crate) const LEASE: Duration = Duration::from_mins(10);

/// A migrated ledger and a worker.
pub(crate) struct Given {
    pub(crate) ledger: Ledger,
    pub(crate) worker: WorkerId,
    /// Whose jobs are measured.
    pub(crate) tenant: TenantName,
    pub(crate) database: TestDatabase,
}

impl Given {
    pub(crate) async fn new() -> Self {
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
        Self { ledger, worker, tenant: TenantName::default(), database }
    }

    pub(crate) async fn accept(&self, count: usize) -> Change {
        // Nobody listens to what is owed to NATS.
        let (answers, change) =
            self.ledger.accept((0..count).map(|_| self.job()).collect()).await.unwrap();
        assert_eq!(answers.len(), count);
        change
    }

    pub(crate) async fn claim(&self, count: usize) -> Claims {
        let slots = i32::try_from(count).unwrap();
        let request = Claim {
            lane: LaneName::default(),
            worker: self.worker,
            shares: vec![(self.tenant.clone(), slots)],
            gpu_ids: (0..slots).collect(),
            lease: LEASE,
        };
        let claims = self.ledger.claim(&request).await.unwrap();
        assert_eq!(claims.jobs.len(), count);
        claims
    }

    pub(crate) async fn settle(&self, jobs: Vec<Claimed>) -> Change {
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

    /// So many jobs go through their lives; how long the claim took.
    pub(crate) async fn live(&self, count: usize) -> Duration {
        let accepted = self.accept(count).await;
        let began = Instant::now();
        let Claims { jobs, change: claimed, .. } = self.claim(count).await;
        let took = began.elapsed();
        let settled = self.settle(jobs).await;
        self.strike_out([accepted, claimed, settled]).await;
        took
    }

    /// As the announcer does once NATS has it.
    pub(crate) async fn strike_out(&self, changes: [Change; 3]) {
        let ids: Vec<_> = changes
            .iter()
            .flat_map(|change| &change.unsent)
            .map(|unsent| unsent.outbox_id)
            .collect();
        self.ledger.strike_out(&ids).await.unwrap();
    }

    fn job(&self) -> NewJob {
        NewJob {
            id: JobId(Uuid::now_v7()),
            tenant: self.tenant.clone(),
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
}
