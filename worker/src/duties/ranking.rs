//! Ranking what waits anew where a lane's ageing was changed.

use std::time::Duration;

use jetlane_core::causes;
use jetlane_core::domain::LaneName;
use jetlane_core::outbox::Announcer;
use jetlane_core::store::{Ledger, Ranked, StoreError};
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
            let Some(lanes) = logged(ledger.unranked_lanes().await) else { continue };
            for lane in lanes {
                while rank(&ledger, &announcer, &lane).await > 0 {
                    sleep(BREATH).await;
                }
            }
        }
    })
    .await;
}

/// Ranks some jobs of a lane; returns how many.
async fn rank(ledger: &Ledger, announcer: &Announcer, lane: &LaneName) -> usize {
    let Some(Ranked { jobs, change }) = logged(ledger.rank_anew(lane).await) else {
        announcer.leave_unknown();
        return 0;
    };
    announcer.announce(change).await;
    jobs
}

/// What the ledger answered, unless it failed: then that is logged.
fn logged<T>(answer: Result<T, StoreError>) -> Option<T> {
    answer
        .map_err(|error| {
            let error = anyhow::Error::new(error);
            tracing::warn!(error = causes(&error), "cannot rank anew; the next sweep does");
        })
        .ok()
}
