//! Telling the ledger how attempts ended.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jetlane_core::batch::{Batcher, Batches, Limits, batches};
use jetlane_core::causes;
use jetlane_core::domain::{Change, Frees, Lease, Outcome, Settlement};
use jetlane_core::outbox::Announcer;
use jetlane_core::store::{Ledger, StoreError};
use tokio::time::{Instant, sleep, timeout};

use crate::backoff::Pauses;
use crate::leases::HeldLease;
use crate::outcome::{label, refused};
use crate::workbench::Workbench;

/// A settlement that takes longer is tried again.
const LIMIT: Duration = Duration::from_secs(5);

/// So many go into one statement at most: the rows stay locked for as long.
const BATCH: usize = 200;

/// So many statements are under way at once, if some take long.
const UNDER_WAY: usize = 3;

/// Settlements that wait to be written together. The answer says whether the
/// attempt was the current one.
pub(crate) type Settlements = Batches<Settlement, Result<bool, StoreError>>;

/// What writes settlements, and must run beside the attempts.
#[derive(Debug)]
pub(crate) struct Settler {
    batcher: Batcher<Settlement, Result<bool, StoreError>>,
    desk: Desk,
}

/// Where settlements go.
#[derive(Debug)]
struct Desk {
    ledger: Ledger,
    announcer: Announcer,
}

impl Settler {
    /// A settler for as many attempts at once as there are `slots`, and where to
    /// hand in settlements.
    pub(crate) fn new(slots: u16, ledger: Ledger, announcer: Announcer) -> (Settlements, Self) {
        // One that was given up for lost may still wait when it is handed in again.
        let waiting = 2 * usize::from(slots.max(1));
        let limits = Limits { waiting, batch: BATCH, under_way: UNDER_WAY };
        let (settlements, batcher) = batches(limits);
        (settlements, Self { batcher, desk: Desk { ledger, announcer } })
    }

    /// Runs until nobody can hand in anything any more.
    pub(crate) async fn run(self) {
        let desk = Arc::new(self.desk);
        let settle = move |settlements| {
            let desk = Arc::clone(&desk);
            async move { desk.settle(settlements).await }
        };
        self.batcher.run(settle).await;
    }
}

impl Desk {
    /// Settles attempts together; each alone if the ledger does not take what one
    /// of them brings. Says of each whether it was the current one.
    async fn settle(&self, settlements: Vec<Settlement>) -> Vec<Result<bool, StoreError>> {
        let error = match self.settle_together(&settlements).await {
            Ok(settled) => return settled.into_iter().map(Ok).collect(),
            Err(error) => error,
        };
        if settlements.len() == 1 || !error.is_refusal() {
            return error.for_each_of(settlements.len()).into_iter().map(Err).collect();
        }
        let mut answers = Vec::with_capacity(settlements.len());
        for settlement in settlements {
            let settled = self.settle_together(&[settlement]).await;
            answers.push(settled.map(|settled| settled.contains(&true)));
        }
        answers
    }

    async fn settle_together(&self, settlements: &[Settlement]) -> Result<Vec<bool>, StoreError> {
        let change = self.ledger.settle(settlements.to_vec()).await?;
        let settled = are_settled(settlements, &change);
        self.announcer.announce(change).await;
        Ok(settled)
    }
}

/// Of which of the settlements the change tells. The job of another may be there too: with the
/// attempt that came after.
fn are_settled(settlements: &[Settlement], change: &Change) -> Vec<bool> {
    let settled: HashSet<_> = change
        .events()
        .map(|event| Lease { job_id: event.job_id, attempt: event.attempt })
        .collect();
    settlements.iter().map(|settlement| settled.contains(&settlement.lease)).collect()
}

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
        let attempt = settle_once(bench, settlement.clone());
        let error = match timeout(LIMIT, attempt).await {
            Ok(Ok(false)) if is_first_try => {
                tracing::warn!("the attempt was superseded; its result is dropped");
                return "superseded";
            }
            Ok(Ok(false)) => {
                // An earlier try may have taken effect without our knowledge;
                // then the relay announces it.
                bench.announcer.leave_unknown();
                tracing::info!("the attempt was settled before or superseded");
                return "unknown";
            }
            Ok(Ok(true)) => return label(&settlement.outcome),
            Ok(Err(error)) => {
                let is_refusal =
                    error.downcast_ref::<StoreError>().is_some_and(StoreError::is_refusal);
                if is_refusal && matches!(settlement.outcome, Outcome::Completed { .. }) {
                    settlement.outcome = refused();
                }
                error
            }
            Err(elapsed) => elapsed.into(),
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

/// Whether the attempt was the current one.
async fn settle_once(bench: &Workbench, settlement: Settlement) -> anyhow::Result<bool> {
    match settlement.frees {
        Frees::Slot => Ok(bench.settlements.ask(settlement).await??),
        // Its key stays locked until the commit: it waits for nobody else.
        Frees::Key => {
            let change = bench.ledger.settle(vec![settlement]).await?;
            let is_current = !change.unsent.is_empty();
            bench.announcer.announce(change).await;
            Ok(is_current)
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use jetlane_core::domain::{Event, EventKind, JobId, JobState, LaneName, TenantName, Unsent};
    use serde_json::Map;
    use uuid::Uuid;

    use super::*;

    fn settlement(attempt: i32) -> Settlement {
        Settlement {
            lease: Lease { job_id: JobId(Uuid::nil()), attempt },
            frees: Frees::Slot,
            outcome: Outcome::Completed { result: None },
            execution_time: Duration::ZERO,
        }
    }

    #[test]
    fn an_attempt_that_was_superseded_is_told_from_the_one_after_it() {
        let event = Event {
            job_id: JobId(Uuid::nil()),
            seq: 5,
            kind: EventKind::Completed,
            state: JobState::Completed,
            attempt: 2,
            timestamp: DateTime::UNIX_EPOCH,
            lane: LaneName::default(),
            tenant: TenantName::default(),
            xid: 1,
            details: Map::new(),
        };
        let change =
            Change { unsent: vec![Unsent { outbox_id: 1, event: Some(event), ring: None }] };
        assert_eq!(are_settled(&[settlement(1), settlement(2)], &change), [false, true]);
    }
}
