//! Whom a fault hits.

use std::ops::Range;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use crate::campaign::Ground;
use crate::world::Member;

/// How long a worker may take to have something to lose.
const LIMIT: Duration = Duration::from_secs(8);

/// How often it is looked at.
const POLL: Duration = Duration::from_millis(15);

/// How many long jobs for each worker make sure that each runs some.
const LONG_JOBS: usize = 3;

/// One of them.
pub(super) fn any<'a>(members: &'a [Member], rng: &mut StdRng) -> &'a Member {
    &members[rng.random_range(0..members.len())]
}

/// Waits until the worker is a moment into an attempt that takes long, which it
/// is given for the purpose. Without one, it is hit all the same.
pub(super) async fn until_busy(ground: &Ground, worker: &Member, millis: Range<u64>) {
    let Some(id) = worker_id(worker) else { return };
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        let mut submits = JoinSet::new();
        for _ in 0..LONG_JOBS * ground.world.workers.len() {
            let clients = std::sync::Arc::clone(&ground.clients);
            let millis = millis.clone();
            submits.spawn(async move { clients.submit_long(millis).await });
        }
        let round = Instant::now() + Duration::from_secs(2);
        while Instant::now() < round {
            if is_into_one(&ground.world.ledger, id).await.unwrap_or(false) {
                return;
            }
            sleep(POLL).await;
        }
        submits.join_all().await;
    }
}

/// A job whose attempt a worker runs.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Running {
    pub(super) id: Uuid,
    pub(super) name: String,
}

/// What the ledger says that the worker runs, what takes longest last.
pub(super) async fn running(ground: &Ground, worker: &Member) -> Vec<Running> {
    let Some(id) = worker_id(worker) else { return Vec::new() };
    let jobs = sqlx::query_as(
        "SELECT id, name
         FROM jobs
         WHERE state = 'running' AND worker = $1
         ORDER BY (params->>'duration_ms')::int",
    );
    jobs.bind(id).fetch_all(&ground.world.ledger).await.unwrap_or_default()
}

/// Whether the worker runs an attempt that takes long and began a moment ago: not
/// so shortly that it knows only of the claim, and would begin after a freeze.
async fn is_into_one(ledger: &PgPool, worker: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (
            SELECT FROM jobs
            WHERE state = 'running'
              AND worker = $1
              AND (params->>'duration_ms')::int >= 1000
              AND ledger_now() - started_at BETWEEN interval '100 ms' AND interval '400 ms'
        )",
    )
    .bind(worker)
    .fetch_one(ledger)
    .await
}

/// What the worker calls itself in the ledger.
fn worker_id(worker: &Member) -> Option<Uuid> {
    worker.latest().worker_id()?.parse().ok()
}
