//! Each step of a job's life, alone with its ledger.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use jetlane_core::store::{Claims, Held};
use tokio::runtime::Runtime;

use crate::given::{Given, LEASE};

/// How many jobs are offered, claimed or settled by one statement.
const SIZES: [usize; 3] = [1, 8, 64];

/// Each step of a job's life, many jobs at once: what comes before it and after it is not timed.
pub(crate) fn life(criterion: &mut Criterion) {
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
