//! Letting go of what is older than it is kept.

use std::time::Duration;

use jetlane_core::causes;
use jetlane_core::store::{Ledger, Pruned, Retention};
use rand::RngExt;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::LIMIT;

/// How often there is a look at what has grown old.
const PERIOD: Duration = Duration::from_mins(1);

/// How long to leave the ledger to others between two batches.
const BREATH: Duration = Duration::from_millis(100);

/// Prunes a batch at a time until `stop`. Several pruners do no harm: what one
/// has locked the others skip.
pub(super) async fn prune(ledger: Ledger, retention: Retention, stop: CancellationToken) {
    stop.run_until_cancelled(async {
        loop {
            // Workers that started together do not prune together.
            let pause = PERIOD.mul_f64(rand::rng().random_range(0.75..1.25));
            sleep(pause).await;
            while prune_once(&ledger, &retention).await.is_more() {
                sleep(BREATH).await;
            }
        }
    })
    .await;
}

async fn prune_once(ledger: &Ledger, retention: &Retention) -> Pruned {
    let error = match timeout(LIMIT, ledger.prune(retention)).await {
        Ok(Ok(pruned)) => {
            if pruned != Pruned::default() {
                tracing::debug!(?pruned, "pruned");
            }
            return pruned;
        }
        Ok(Err(error)) => anyhow::Error::new(error),
        Err(elapsed) => anyhow::Error::new(elapsed),
    };
    tracing::warn!(error = causes(&error), "cannot prune; the next round tries again");
    Pruned::default()
}
