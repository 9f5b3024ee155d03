//! What the tests start from.

use std::time::Duration;

use jetlane_core::domain::{
    Change, Claimed, Job, JobId, LaneName, NewJob, Outcome, RetryPolicy, RunAt, Settlement,
    TenantName, Tool, WorkerId,
};
use jetlane_core::store::{
    Acceptance, Claim, Claims, FeedFilter, FeedKey, Ledger, PoolSettings, RESTED, connect, migrate,
};
use jetlane_devstack::TestDatabase;
use serde_json::Map;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// A migrated ledger of the test's own.
pub(crate) struct Given {
    pub(crate) ledger: Ledger,
    /// To look behind the ledger's back.
    pub(crate) pool: PgPool,
    pub(crate) url: String,
    _database: TestDatabase,
}

pub(crate) async fn given_a_ledger() -> Given {
    let database = jetlane_devstack::database(|url| async move { migrate(&url).await.map(drop) })
        .await
        .unwrap();
    let connections = connect(&settings(&database.url, 20)).await.unwrap();
    Given {
        ledger: Ledger::new(connections),
        pool: a_pool(&database.url),
        url: database.url.clone(),
        _database: database,
    }
}

/// To look behind the ledger's back.
pub(crate) fn a_pool(url: &str) -> PgPool {
    PgPoolOptions::new().max_connections(8).connect_lazy(url).unwrap()
}

/// The same on a server whose grace after its start is over.
pub(crate) async fn given_a_settled_server() -> Given {
    let given = given_a_ledger().await;
    until_settled(&given.pool).await;
    given
}

/// The grace after a start of PostgreSQL is over once the server has lived so long.
pub(crate) async fn until_settled(pool: &PgPool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let is_settled: bool =
            sqlx::query_scalar("SELECT pg_postmaster_start_time() < now() - interval '10 s'")
                .fetch_one(pool)
                .await
                .unwrap();
        if is_settled {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) fn settings(url: &str, max_connections: u32) -> PoolSettings {
    PoolSettings {
        url: url.to_owned(),
        application_name: "ledger-test",
        max_connections,
        acquire_timeout: Duration::from_secs(20),
        rested: RESTED,
    }
}

pub(crate) fn job(name: &str) -> NewJob {
    NewJob {
        id: JobId(Uuid::now_v7()),
        tenant: TenantName::default(),
        lane: LaneName::default(),
        name: name.to_owned(),
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

pub(crate) fn a_worker() -> WorkerId {
    WorkerId(Uuid::now_v7())
}

impl Given {
    pub(crate) async fn accept(&self, new: NewJob) -> JobId {
        self.accepted(new).await.0.id
    }

    /// Accepts a job, which must be new, and returns it with what is owed to NATS.
    pub(crate) async fn accepted(&self, new: NewJob) -> (Job, Change) {
        let (mut answers, change) = self.ledger.accept(vec![new]).await.unwrap();
        match answers.pop() {
            Some(Acceptance::Accepted(job)) => (*job, change),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn claim(&self, worker: WorkerId, slots: i32) -> Vec<Claimed> {
        self.claim_all(worker, slots).await.jobs
    }

    pub(crate) async fn claim_all(&self, worker: WorkerId, slots: i32) -> Claims {
        self.claim_shares(worker, vec![(TenantName::default(), slots)], slots).await
    }

    pub(crate) async fn claim_shares(
        &self,
        worker: WorkerId,
        shares: Vec<(TenantName, i32)>,
        slots: i32,
    ) -> Claims {
        let claim = Claim {
            lane: LaneName::default(),
            worker,
            shares,
            gpu_ids: (0..slots).collect(),
            lease: LEASE,
        };
        self.ledger.claim(&claim).await.unwrap()
    }

    pub(crate) async fn settle(&self, claimed: &Claimed, outcome: Outcome) -> Change {
        let settlement = Settlement {
            lease: claimed.lease,
            frees: claimed.frees,
            outcome,
            execution_time: Duration::from_millis(1500),
        };
        self.ledger.settle(vec![settlement]).await.unwrap()
    }

    pub(crate) async fn find(&self, id: JobId) -> Job {
        self.ledger.find(&TenantName::default(), id).await.unwrap().unwrap()
    }

    /// The kinds of a job's events, after checking that they are numbered 1, 2, 3, ….
    pub(crate) async fn kinds(&self, id: JobId) -> Vec<&'static str> {
        let filter = FeedFilter { job_ids: vec![id], ..FeedFilter::default() };
        let start = FeedKey { xid: 0, job_id: JobId(Uuid::nil()), seq: 0 };
        let events = self
            .ledger
            .replay(&TenantName::default(), &filter, start, i64::MAX, 1000)
            .await
            .unwrap();
        let seqs: Vec<_> = events.iter().map(|event| event.seq).collect();
        assert_eq!(seqs, (1..=i32::try_from(seqs.len()).unwrap()).collect::<Vec<_>>());
        events.iter().map(|event| event.kind.as_str()).collect()
    }

    /// A tenant other than the default one.
    pub(crate) fn tenant(name: &str) -> TenantName {
        name.parse().unwrap()
    }

    /// Moves the ledger's clock.
    pub(crate) async fn advance(&self, by: Duration) {
        let text = format!(
            "CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql STABLE
             RETURN now() + interval '{} ms'",
            by.as_millis()
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&self.pool).await.unwrap();
    }
}

/// The lanes that a change rings.
pub(crate) fn rung(change: &Change) -> Vec<&str> {
    change.unsent.iter().filter_map(|unsent| Some(unsent.ring.as_ref()?.as_str())).collect()
}
