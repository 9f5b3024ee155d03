//! One round of every duty, for fleets whose workers are scaled to zero.

use std::sync::Arc;
use std::time::Duration;

use jetlane_core::causes;
use jetlane_core::outbox::Relay;
use jetlane_core::store::{Promoted, Readmitted, Reaped, Retention, SILENCE};
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::app::App;

/// How long NATS may take to be there.
const NATS_LIMIT: Duration = Duration::from_secs(2);

/// How many batches of each duty one sweep carries out at most: the next sweep goes on.
const ROUNDS: usize = 50;

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Jobs that became claimable, or failed since they were not started in time.
    pub promoted: usize,
    /// Attempts taken away from workers that are gone.
    pub reaped: usize,
    /// Jobs, idempotency keys and workers let go of.
    pub pruned: u64,
    /// Whether NATS has all that was due to it: it was there, and refused and missed nothing. What
    /// is due later, or held by another relay, counts for neither.
    pub relayed: bool,
}

/// Carries out each duty. Any number of sweeps and workers may do so at
/// the same time.
///
/// # Errors
///
/// The first, if a duty was not carried out: the ledger did not answer or commit in time, or NATS
/// was there and did not make our streams. The others were; the next sweep does the rest.
pub async fn sweep(app: &App, retention: &Retention) -> anyhow::Result<Swept> {
    // Without NATS the sweep does what concerns the ledger alone.
    let _ = timeout(NATS_LIMIT, app.messaging.revive()).await;
    let mut swept = Swept::default();
    // Each has its turn, whatever became of those before.
    let done = [
        promote(app, &mut swept).await,
        reap(app, &mut swept).await,
        readmit(app).await,
        rank_anew(app).await,
        prune(app, retention, &mut swept).await,
        relay(app, &mut swept).await,
    ];
    for error in done.iter().filter_map(|done| done.as_ref().err()) {
        tracing::warn!(error = causes(error), "a duty was not carried out");
    }
    done.into_iter().collect::<anyhow::Result<()>>().map(|()| swept)
}

async fn promote(app: &App, swept: &mut Swept) -> anyhow::Result<()> {
    for _ in 0..ROUNDS {
        let Promoted { change, next_due_in } = app.ledger.promote().await?;
        let promoted = change.events().count();
        swept.promoted += promoted;
        app.announce(change).await;
        if promoted == 0 || next_due_in != Some(Duration::ZERO) {
            break;
        }
    }
    Ok(())
}

async fn reap(app: &App, swept: &mut Swept) -> anyhow::Result<()> {
    for _ in 0..ROUNDS {
        let Reaped { change, is_more, .. } = app.ledger.reap(SILENCE).await?;
        swept.reaped += change.events().count();
        app.announce(change).await;
        if !is_more {
            break;
        }
    }
    Ok(())
}

async fn readmit(app: &App) -> anyhow::Result<()> {
    let mut after = None;
    for _ in 0..ROUNDS {
        let Readmitted { change, go_on } = app.ledger.readmit_stranded(after.take()).await?;
        app.announce(change).await;
        if go_on.is_none() {
            break;
        }
        after = go_on;
    }
    Ok(())
}

async fn rank_anew(app: &App) -> anyhow::Result<()> {
    for lane in app.ledger.unranked_lanes().await? {
        app.rank_anew(&lane, ROUNDS).await?;
    }
    Ok(())
}

async fn prune(app: &App, retention: &Retention, swept: &mut Swept) -> anyhow::Result<()> {
    for _ in 0..ROUNDS {
        let pruned = app.ledger.prune(retention).await?;
        swept.pruned += pruned.jobs + pruned.idempotency_keys + pruned.workers;
        if !pruned.is_more() {
            break;
        }
    }
    if let Err(error) = app.ledger.rotate_events(retention).await {
        let error = anyhow::Error::new(error);
        tracing::warn!(error = causes(&error), "cannot rotate events; the next sweep tries again");
    }
    Ok(())
}

async fn relay(app: &App, swept: &mut Swept) -> anyhow::Result<()> {
    if !app.messaging.is_up() {
        return Ok(());
    }
    app.messaging.declare_streams().await?;
    let relay = Relay {
        ledger: app.ledger.clone(),
        messaging: app.messaging.clone(),
        clock: Arc::clone(&app.clock),
        metrics: app.outbox.clone(),
        wake: Arc::new(Notify::new()),
        period: Duration::MAX,
    };
    swept.relayed = relay.send_due().await?.is_all;
    Ok(())
}
