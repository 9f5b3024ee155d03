//! Ranking what waits anew where a lane's ageing was changed.

use std::time::Duration;

use jetlane_core::causes;
use jetlane_core::outbox::Announcer;
use jetlane_core::store::{Ledger, Ranked};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long to leave the ledger to others between two batches.
const BREATH: Duration = Duration::from_millis(100);

/// Looks at the lanes every `period` until `stop`. Whoever changes an ageing has
/// most ranked at once.
pub(super) async fn rank_anew(
    ledger: Ledger,
    announcer: Announcer,
    period: Duration,
    stop: CancellationToken,
) {
    stop.run_until_cancelled(async {
        loop {
            sleep(period).await;
            while rank(&ledger, &announcer).await > 0 {
                sleep(BREATH).await;
            }
        }
    })
    .await;
}

/// Ranks some jobs; returns how many.
async fn rank(ledger: &Ledger, announcer: &Announcer) -> usize {
    match ledger.rank_anew().await {
        Ok(Ranked { jobs, change }) => {
            announcer.announce(change).await;
            jobs
        }
        Err(error) => {
            let error = anyhow::Error::new(error);
            tracing::warn!(error = causes(&error), "cannot rank anew; a later look does");
            announcer.leave_unknown();
            0
        }
    }
}
