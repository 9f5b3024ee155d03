//! Letting jobs go whose concurrency key nobody has and nobody frees any more.

use std::time::Duration;

use jetlane_core::causes;
use jetlane_core::outbox::Announcer;
use jetlane_core::store::{Key, Ledger};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long to leave the ledger to others between two looks.
const BREATH: Duration = Duration::from_millis(100);

/// How many sweeps there are to one look at the keys: it hardly ever finds one.
const SWEEPS: u32 = 6;

/// Looks at all keys every few periods, some hundreds at a time, until `stop`.
/// A key is freed by the change that frees it; this is for changes that were
/// rolled back while others relied on them.
pub(super) async fn readmit_stranded(
    ledger: Ledger,
    announcer: Announcer,
    period: Duration,
    stop: CancellationToken,
) {
    stop.run_until_cancelled(async {
        loop {
            sleep(period.saturating_mul(SWEEPS)).await;
            let mut after = None;
            while let Some(key) = look(&ledger, &announcer, after.take()).await {
                after = Some(key);
                sleep(BREATH).await;
            }
        }
    })
    .await;
}

/// Looks at some keys; returns after which to go on.
async fn look(ledger: &Ledger, announcer: &Announcer, after: Option<Key>) -> Option<Key> {
    match ledger.readmit_stranded(after).await {
        Ok(readmitted) => {
            if !readmitted.change.unsent.is_empty() {
                tracing::info!(lanes = readmitted.change.unsent.len(), "let stranded jobs go");
            }
            announcer.announce(readmitted.change).await;
            readmitted.go_on
        }
        Err(error) => {
            let error = anyhow::Error::new(error);
            tracing::warn!(error = causes(&error), "cannot look for stranded jobs");
            None
        }
    }
}
