//! Carrying out the schedule, and watching how things recover.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{Episode, FaultKind, Felt};
use crate::campaign::Ground;
use crate::history::{Phase, Recovered};
use crate::violations::{Invariant, Violation};

/// How long a recovery is waited for, so that one that is too slow still has a
/// figure.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often an episode is tried until all of it is felt.
const TRIES: usize = 3;

/// An episode that is over.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) faults: Vec<(FaultKind, Felt)>,
    pub(crate) recovered: Recovered,
}

/// Carries out episodes until `deadline`, each once all has recovered from the
/// one before.
pub(crate) async fn carry_out(
    ground: &Ground,
    episodes: impl Iterator<Item = Episode>,
    deadline: Instant,
) -> Vec<Done> {
    let mut done = Vec::new();
    for episode in episodes {
        if Instant::now() + episode.pause + episode.lasts > deadline {
            break;
        }
        sleep(episode.pause).await;
        if let Err(error) = carry_out_until_felt(ground, episode, deadline, &mut done).await {
            let what = format!("a fault could not be carried out: {error:#}");
            ground.history.blame(Violation::general(Invariant::Processes, what));
            break;
        }
    }
    done
}

/// Carries out an episode, and again with other chances what of it hit
/// nothing, as a doorbell that nobody rang while doorbells were lost; alone,
/// since its company may have been why.
async fn carry_out_until_felt(
    ground: &Ground,
    mut episode: Episode,
    deadline: Instant,
    done: &mut Vec<Done>,
) -> anyhow::Result<()> {
    for _ in 0..TRIES {
        let one = carry_out_one(ground, &episode).await.with_context(|| {
            let kinds: Vec<_> = episode.faults.iter().map(|f| f.kind.as_str()).collect();
            kinds.join("+")
        })?;
        let missed: Vec<_> =
            one.faults.iter().filter(|(_, felt)| felt.count == 0).map(|(kind, _)| *kind).collect();
        done.push(one);
        if missed.is_empty() || Instant::now() + episode.lasts > deadline {
            break;
        }
        episode.faults.retain(|planned| missed.contains(&planned.kind));
        for planned in &mut episode.faults {
            planned.chance = planned.chance.wrapping_add(1);
        }
    }
    Ok(())
}

async fn carry_out_one(ground: &Ground, episode: &Episode) -> anyhow::Result<Done> {
    let kinds: Vec<_> = episode.faults.iter().map(|planned| planned.kind).collect();
    let names: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
    let note = |phase, more| ground.history.note("fault", phase, None, more);
    note(Phase::Invoke, json!({ "kinds": names, "lasts_ms": episode.lasts.as_millis() }));

    let start = sqlx::query_scalar("SELECT ledger_xid()").fetch_one(&ground.world.ledger).await;
    ground.history.breaks();
    let mut faults: Vec<_> = episode.faults.iter().map(FaultKind::fault).collect();
    for fault in &mut faults {
        fault.inject(ground).await?;
    }
    sleep(episode.lasts).await;
    for fault in faults.iter_mut().rev() {
        fault.heal(ground).await?;
    }
    ground.history.lifted(ground.world.edge_urls(), ground.world.worker_ids());
    let recovered = until_recovered(ground, episode, &names.join("+")).await;
    if let Ok(start) = start {
        blame_needless_takeovers(ground, &kinds, start).await;
    }

    let mut done = Done { faults: Vec::new(), recovered };
    for (kind, fault) in kinds.into_iter().zip(&mut faults) {
        let felt = fault.felt(ground).await;
        note(Phase::Ok, json!({ "kind": kind.as_str(), felt.what: felt.count }));
        done.faults.push((kind, felt));
    }
    note(Phase::Ok, json!({ "kinds": names, "recovered": format!("{recovered:?}") }));
    Ok(done)
}

/// Workers that could reach the ledger all the time are not taken for dead,
/// whatever else went wrong. It is about attempts begun since a transaction:
/// what an earlier fault has orphaned may be noticed only now.
async fn blame_needless_takeovers(ground: &Ground, kinds: &[FaultKind], start: i64) {
    if kinds.iter().any(|kind| kind.may_silence_workers()) {
        return;
    }
    let count = sqlx::query_scalar(
        "SELECT count(*)
         FROM job_events AS lost
         JOIN job_events AS begun USING (job_id, attempt)
         WHERE lost.details->>'reason' = 'worker lost'
           AND begun.kind = 'running'
           AND begun.xid > $1",
    );
    // One that is not answered is no news of the product.
    let count: i64 = count.bind(start).fetch_one(&ground.world.ledger).await.unwrap_or(0);
    if count > 0 {
        let what = format!("{kinds:?} made {count} attempts lose their worker");
        ground.history.blame(Violation::general(Invariant::Charged, what));
    }
}

async fn until_recovered(ground: &Ground, episode: &Episode, name: &str) -> Recovered {
    let limit = episode.recovery_limit();
    if timeout(limit, ground.history.until_recovered()).await.is_ok() {
        return ground.history.recovered();
    }
    let awaited = ground.history.awaited();
    // An error says that it was waited for long enough.
    let _ = timeout(PATIENCE, ground.history.until_recovered()).await;
    let recovered = ground.history.recovered();
    for (what, took, more) in recovered.parts() {
        if took.is_some_and(|took| took <= limit + more) {
            continue;
        }
        let took = took.map_or("never happened".to_owned(), |took| format!("took {took:?}"));
        let what = format!("{limit:?} after {name}, {what}; it {took}; then awaited: {awaited}");
        ground.history.blame(Violation::general(Invariant::Recovered, what));
    }
    recovered
}
