//! Clients: jobs submitted at a set rate whatever becomes of them, and what
//! clients do besides.

mod batch;
mod call;
mod clients;
mod follow;
mod operator;
mod plan;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub(crate) use call::http_client;
pub(crate) use clients::{Clients, Door};
pub(crate) use plan::{Fate, Plan, number};

/// The most submits under way. More are not begun: the machine, not the
/// product, would be what is tested.
const MOST: usize = 2_000;

/// One client in so many submits a batch.
const BATCH_ROUND: u32 = 100;

/// Submits jobs at `rate` a second until told to stop, then waits for those
/// under way.
pub(crate) async fn keep_submitting(
    clients: Arc<Clients>,
    rate: std::num::NonZeroU32,
    stop: CancellationToken,
) {
    let mut ticks = interval(Duration::from_secs(1) / rate.get());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = JoinSet::new();
    let mut round = 0_u32;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick(), if under_way.len() < MOST => {
                let clients = Arc::clone(&clients);
                round = (round + 1) % BATCH_ROUND;
                if round == 0 {
                    under_way.spawn(async move { clients.drive_batch().await });
                } else {
                    under_way.spawn(async move {
                        clients.drive().await;
                    });
                }
            }
            Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
        }
    }
    under_way.join_all().await;
}
