//! Watchers: clients of event streams that are cut off again and again, go on
//! where they were, and keep all they were told.

mod feed;
mod told;
mod watcher;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Client;
use sqlx::PgPool;
use tokio::task::JoinSet;

pub(crate) use feed::{Feed, listen};
#[cfg(test)]
pub(crate) use told::Kind;
pub(crate) use told::Told;
pub(crate) use watcher::{Log, Watched};

use crate::history::History;
use crate::world::{LANES, TENANTS, World};
use watcher::Watcher;

/// What a watcher asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) tenant: &'static str,
    /// Only events of this lane.
    pub(crate) lane: Option<&'static str>,
    /// The past too, not only what happens from now on.
    pub(crate) from_start: bool,
}

/// All watchers, and what they share.
#[derive(Debug)]
pub(crate) struct Watchers {
    pub(crate) logs: Vec<Arc<Log>>,
    /// No connection is dropped by a watcher any more.
    is_calm: Arc<AtomicBool>,
    resumes: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Watchers {
    /// Starts so many watchers, of every kind of wish in turn.
    pub(crate) fn start(
        count: usize,
        seed: u64,
        world: &Arc<World>,
        history: &Arc<History>,
        http: &Client,
    ) -> Self {
        let (is_calm, resumes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (mut logs, mut tasks) = (Vec::new(), JoinSet::new());
        for (n, wish) in (0..count).zip(wishes().into_iter().cycle()) {
            let log = Arc::new(Log::new(n, wish));
            let watcher = Watcher {
                log: Arc::clone(&log),
                world: Arc::clone(world),
                history: Arc::clone(history),
                http: http.clone(),
                is_calm: Arc::clone(&is_calm),
                resumes: Arc::clone(&resumes),
            };
            tasks.spawn(watcher.watch(seed));
            logs.push(log);
        }
        Self { logs, is_calm, resumes, _tasks: tasks }
    }

    /// From now on no watcher drops its connection.
    pub(crate) fn calm_down(&self) {
        self.is_calm.store(true, Ordering::Relaxed);
    }

    /// Connections that went on after an id.
    pub(crate) fn resumes(&self) -> u64 {
        self.resumes.load(Ordering::Relaxed)
    }

    /// Waits until every watcher has a place to go on from, for `limit` at most.
    pub(crate) async fn until_begun(&self, limit: Duration) -> bool {
        let begun = async {
            while !self.logs.iter().all(|log| log.begin().is_some()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(limit, begun).await.is_ok()
    }
}

/// Whole streams of each tenant first: what they tell decides whether the
/// system has recovered.
fn wishes() -> Vec<Wish> {
    let mut wishes = Vec::new();
    for from_start in [false, true] {
        for lane in [None, Some(LANES[0]), Some(LANES[1])] {
            for tenant in TENANTS {
                wishes.push(Wish { tenant, lane, from_start });
            }
        }
    }
    wishes
}

/// Where the ledger is: every event of a transaction that begins later has at
/// least this number.
async fn ledger_mark(ledger: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        .fetch_one(ledger)
        .await
}

/// What a watcher or the feed was told, to be locked for a moment.
type List = Mutex<Vec<Told>>;
