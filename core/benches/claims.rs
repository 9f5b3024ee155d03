//! What order and share cost: claims with each policy beside claims without.
//!
//! ```text
//! cargo bench -p jetlane-core --bench claims
//! ```
//!
//! Rounds go from lane to lane, so that a busy moment of the machine hits all of
//! them alike. What is measured is one claimer, alone with its ledger.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails says where")]

use std::time::{Duration, Instant};

use jetlane_core::domain::{
    JobId, LaneName, LanePatch, NewJob, Outcome, Rate, RetryPolicy, RunAt, Settlement, TenantName,
    Tool, WorkerId,
};
use jetlane_core::store::{Claim, Ledger, PoolSettings, RESTED, connect, migrate};
use serde_json::Map;
use uuid::Uuid;

/// How many slots a claim fills.
const SLOTS: i32 = 4;

/// Claims of each lane that are measured.
const ROUNDS: usize = 1_000;

/// The same under `--quick`.
const FEW_ROUNDS: usize = 100;

/// Claims before those that are measured.
const WARM_UP: usize = 50;

/// What is offered at once.
const BATCH: usize = 1_000;

/// Tenants of the lane that is shared, and keys of the one with keys.
const TENANTS: usize = 100;
const KEYS: usize = 1_000;

/// A lane's policy, as far as it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    None,
    Ageing,
    Rate,
    Keys,
    Shares,
}

impl Policy {
    const ALL: [Self; 5] = [Self::None, Self::Ageing, Self::Rate, Self::Keys, Self::Shares];

    fn lane(self) -> LaneName {
        format!("{self:?}").to_lowercase().parse().unwrap()
    }

    fn words(self) -> &'static str {
        match self {
            Self::None => "priority and age alone",
            Self::Ageing => "with ageing",
            Self::Rate => "with a rate that allows them all",
            Self::Keys => "1,000 concurrency keys, one job each at a time",
            Self::Shares => "100 tenants, four of them in turn",
        }
    }

    /// The job of this number.
    fn job(self, n: usize) -> NewJob {
        NewJob {
            id: JobId(Uuid::now_v7()),
            tenant: self.tenant(n),
            lane: self.lane(),
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
            concurrency_key: (self == Self::Keys).then(|| format!("key-{}", n % KEYS)),
            traceparent: None,
            idempotency: None,
        }
    }

    fn tenant(self, n: usize) -> TenantName {
        match self {
            Self::Shares => format!("tenant-{}", n % TENANTS).parse().unwrap(),
            _ => TenantName::default(),
        }
    }

    /// Whose jobs a round claims.
    fn shares(self, round: usize) -> Vec<(TenantName, i32)> {
        match self {
            Self::Shares => {
                let slots = usize::try_from(SLOTS).unwrap();
                (0..slots).map(|n| (self.tenant(round * slots + n), 1)).collect()
            }
            _ => vec![(self.tenant(0), SLOTS)],
        }
    }
}

/// How long the claims and the settlements of a lane took.
#[derive(Debug, Default)]
struct Times {
    claims: Vec<Duration>,
    settlements: Vec<Duration>,
}

fn main() {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(measure(if is_quick { FEW_ROUNDS } else { ROUNDS }));
}

async fn measure(rounds: usize) {
    let database = jetlane_devstack::database(|url| async move { migrate(&url).await.map(drop) })
        .await
        .unwrap();
    let settings = PoolSettings {
        url: database.url.clone(),
        application_name: "claims-bench",
        max_connections: 2,
        acquire_timeout: Duration::from_secs(20),
        rested: RESTED,
    };
    let ledger = Ledger::new(connect(&settings).await.unwrap());
    for policy in Policy::ALL {
        fill(&ledger, policy, rounds).await;
    }

    let worker = WorkerId(Uuid::now_v7());
    ledger.register_worker(worker, SLOTS).await.unwrap();
    let mut times = Policy::ALL.map(|policy| (policy, Times::default()));
    for round in 0..WARM_UP + rounds {
        for (policy, times) in &mut times {
            one_round(&ledger, worker, *policy, round, times).await;
        }
    }
    println!("{rounds} claims of {SLOTS} jobs each, lanes in turn; settled one by one\n");
    report(&mut times);
    ledger.close().await;
}

/// Makes the lane and its backlog: as many jobs as are claimed, and as many again.
async fn fill(ledger: &Ledger, policy: Policy, rounds: usize) {
    let lane = policy.lane();
    ledger.register_lanes(std::slice::from_ref(&lane)).await.unwrap();
    let patch = LanePatch {
        ageing: (policy == Policy::Ageing).then_some(Some(60)),
        rate: (policy == Policy::Rate).then_some(Some(Rate { per_second: 1e6, burst: 1_000_000 })),
        ..LanePatch::default()
    };
    drop(ledger.update_lane(&lane, patch).await.unwrap());
    let count = 2 * (WARM_UP + rounds) * usize::try_from(SLOTS).unwrap();
    for start in (0..count).step_by(BATCH) {
        let jobs = (start..count.min(start + BATCH)).map(|n| policy.job(n)).collect();
        // Nobody listens to what is owed to NATS.
        let _ = ledger.accept(jobs).await.unwrap();
    }
}

async fn one_round(
    ledger: &Ledger,
    worker: WorkerId,
    policy: Policy,
    round: usize,
    times: &mut Times,
) {
    let claim = Claim {
        lane: policy.lane(),
        worker,
        shares: policy.shares(round),
        gpu_ids: (0..SLOTS).collect(),
        lease: Duration::from_mins(10),
    };
    let began = Instant::now();
    let jobs = ledger.claim(&claim).await.unwrap().jobs;
    let took = began.elapsed();
    assert_eq!(jobs.len(), usize::try_from(SLOTS).unwrap(), "{policy:?}, round {round}");

    if round >= WARM_UP {
        times.claims.push(took);
    }
    for job in jobs {
        let settlement = Settlement {
            lease: job.lease,
            frees: job.frees,
            outcome: Outcome::Completed { result: None },
            execution_time: Duration::ZERO,
        };
        let began = Instant::now();
        let _ = ledger.settle(vec![settlement]).await.unwrap();
        if round >= WARM_UP {
            times.settlements.push(began.elapsed());
        }
    }
}

fn report(times: &mut [(Policy, Times)]) {
    println!("| policy | jobs claimed/s | claim p50 | claim p99 | beside none | settle p50 |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut plain = None;
    for (policy, times) in times {
        times.claims.sort_unstable();
        times.settlements.sort_unstable();
        let total: Duration = times.claims.iter().sum();
        let jobs = f64::from(SLOTS) * f64::from(u32::try_from(times.claims.len()).unwrap());
        let (p50, p99) = (quantile(&times.claims, 50), quantile(&times.claims, 99));
        let ratio = p50 / *plain.get_or_insert(p50);
        println!(
            "| {} | {:.0} | {p50:.2} ms | {p99:.2} ms | {ratio:.2} | {:.2} ms |",
            policy.words(),
            jobs / total.as_secs_f64(),
            quantile(&times.settlements, 50),
        );
    }
}

/// In milliseconds.
fn quantile(sorted: &[Duration], percent: usize) -> f64 {
    sorted[sorted.len() * percent / 100].as_secs_f64() * 1e3
}
