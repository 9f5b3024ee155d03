//! Telling the ledger how an attempt ended.

use std::time::Duration;

use jetlane_core::causes;
use jetlane_core::domain::{Outcome, Settlement};
use tokio::time::{Instant, sleep, timeout};

use crate::backoff::Pauses;
use crate::leases::HeldLease;
use crate::outcome::{label, refused};
use crate::workbench::Workbench;

/// A settlement that takes longer is tried again.
const LIMIT: Duration = Duration::from_secs(5);

/// Settles an attempt and announces it; tries again until its lease ends, so
/// that a finished attempt's result outlives an outage of the ledger. Returns
/// what became of it, as a metric's label.
pub(crate) async fn settle(
    bench: &Workbench,
    held: &HeldLease,
    mut settlement: Settlement,
) -> &'static str {
    let mut pauses = Pauses::new();
    let mut is_first_try = true;
    loop {
        let attempt = bench.ledger.settle(settlement.clone());
        let error = match timeout(LIMIT, attempt).await {
            Ok(Ok(change)) if change.unsent.is_empty() && is_first_try => {
                tracing::warn!("the attempt was superseded; its result is dropped");
                return "superseded";
            }
            Ok(Ok(change)) if change.unsent.is_empty() => {
                // An earlier try may have taken effect without our knowledge;
                // then the relay announces it.
                bench.announcer.leave_unknown();
                tracing::info!("the attempt was settled before or superseded");
                return "unknown";
            }
            Ok(Ok(change)) => {
                bench.announcer.announce(change).await;
                return label(&settlement.outcome);
            }
            Ok(Err(error)) => {
                if error.is_refusal() && matches!(settlement.outcome, Outcome::Completed { .. }) {
                    settlement.outcome = refused();
                }
                anyhow::Error::new(error)
            }
            Err(elapsed) => anyhow::Error::new(elapsed),
        };
        is_first_try = false;

        let pause = pauses.next();
        if Instant::now() + pause >= held.end() {
            tracing::warn!(
                error = causes(&error),
                "cannot settle the attempt before its lease ends; the job will run again"
            );
            return "unsettled";
        }
        tracing::warn!(error = causes(&error), "cannot settle the attempt yet");
        sleep(pause).await;
    }
}
