//! A claim of one job among many others.

use std::env;
use std::time::Duration;

use criterion::Criterion;
use jetlane_loadtest::past::{self, Past};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::runtime::Runtime;

use crate::given::Given;

/// No more jobs than that are written under `--quick`.
const QUICKLY: u64 = 10_000;

/// How many jobs at once go through their lives under a snapshot.
const AT_ONCE: usize = 64;

/// What the ledger has besides the job that is submitted.
#[derive(Clone, Copy)]
enum Others {
    Nothing,
    Past(Past, u64),
    /// So many jobs have completed since a transaction began that is still open: nothing that they
    /// left behind can be removed.
    UnderSnapshot(u64),
}

impl Others {
    const ALL: [Self; 11] = [
        Self::Nothing,
        Self::Past(Past::Waiting, 10_000),
        Self::Past(Past::Waiting, 1_000_000),
        Self::Past(Past::BehindOneKey, 10_000),
        Self::Past(Past::BehindOneKey, 1_000_000),
        Self::Past(Past::OfManyTenants, 10_000),
        Self::Past(Past::OfManyTenants, 1_000_000),
        // What ten minutes bring at 500 jobs/s.
        Self::UnderSnapshot(300_000),
        Self::UnderSnapshot(10_000),
        Self::Past(Past::Completed, 10_000),
        Self::Past(Past::Completed, 10_000_000),
    ];

    fn count(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Past(_, count) | Self::UnderSnapshot(count) => count,
        }
    }

    fn name(self) -> String {
        let count = self.count();
        match self {
            Self::Nothing => "nothing else".to_owned(),
            Self::Past(Past::Waiting, _) => format!("{count} waiting"),
            Self::Past(Past::BehindOneKey, _) => format!("{count} behind one full key"),
            Self::Past(Past::OfManyTenants, _) => {
                format!("{count} of 1,000 tenants, one with 99 %")
            }
            Self::Past(Past::Completed, _) => format!("{count} completed"),
            Self::UnderSnapshot(_) => format!("{count} completed under an open snapshot"),
        }
    }
}

/// A ledger, and the transaction that must stay open.
struct Among {
    given: Given,
    _snapshot: Option<PgConnection>,
}

impl Among {
    async fn of(others: Others) -> Self {
        let mut given = Given::new().await;
        let url = given.database.url.clone();
        let snapshot = match others {
            Others::Nothing => None,
            Others::Past(past, count) => {
                past::write(&url, past, count).await.unwrap();
                if past == Past::OfManyTenants {
                    given.tenant = "tenant-7".parse().unwrap();
                }
                None
            }
            Others::UnderSnapshot(count) => {
                let mut snapshot = PgConnection::connect(&url).await.unwrap();
                snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
                snapshot.execute("SELECT count(*) FROM jobs").await.unwrap();
                for _ in 0..count.div_ceil(AT_ONCE as u64) {
                    given.live(AT_ONCE).await;
                }
                Some(snapshot)
            }
        };
        Self { given, _snapshot: snapshot }
    }

    /// How long so many claims took.
    async fn claims(&self, rounds: u64) -> Duration {
        let mut took = Duration::ZERO;
        for _ in 0..rounds {
            took += self.given.live(1).await;
        }
        took
    }
}

/// A claim of the oldest job of its tenant, while the ledger has all sorts of others.
pub(crate) fn among(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let is_quick = env::args().any(|argument| argument == "--quick");
    let mut group = criterion.benchmark_group("claim among");
    for others in Others::ALL {
        if is_quick && others.count() > QUICKLY {
            continue;
        }
        // Written only if this one is asked for.
        let mut among = None;
        group.bench_function(others.name(), |bench| {
            let among = among.get_or_insert_with(|| runtime.block_on(Among::of(others)));
            bench.to_async(&runtime).iter_custom(|rounds| among.claims(rounds));
        });
    }
    group.finish();
}
