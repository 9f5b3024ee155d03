//! Letting go of what is older than it is kept.

use std::fmt::Debug;
use std::time::Duration;

use jetlane_core::causes;
use jetlane_core::store::{Ledger, Retention, StoreError};
use rand::RngExt;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

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
            while logged("prune", ledger.prune(&retention).await).is_some_and(|it| it.is_more()) {
                sleep(BREATH).await;
            }
            logged("rotate events", ledger.rotate_events(&retention).await);
        }
    })
    .await;
}

/// What was done, unless it failed: then that is logged.
fn logged<T: Debug>(what: &str, done: Result<T, StoreError>) -> Option<T> {
    match done {
        Ok(done) => {
            tracing::debug!(?done, "{what}");
            Some(done)
        }
        Err(error) => {
            let error = anyhow::Error::new(error);
            tracing::warn!(error = causes(&error), "cannot {what}; the next round tries again");
            None
        }
    }
}
