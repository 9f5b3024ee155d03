//! Every fault was felt: one that was not proves nothing.

use std::collections::BTreeMap;

use super::{Evidence, zombies_rejected};
use crate::faults::FaultKind;
use crate::violations::{Invariant, Violation};

/// The faults that left no trace.
pub(super) fn check(evidence: &Evidence) -> Vec<Violation> {
    let mut felt: BTreeMap<FaultKind, u64> = BTreeMap::new();
    for (kind, fault) in evidence.done.iter().flat_map(|done| &done.faults) {
        *felt.entry(*kind).or_default() += fault.count;
    }
    let mut found: Vec<String> = felt
        .iter()
        .filter(|(_, count)| **count == 0)
        .map(|(kind, _)| format!("nobody felt any {kind}"))
        .collect();

    let has = |kinds: &[FaultKind]| kinds.iter().any(|kind| felt.contains_key(kind));
    if has(&[FaultKind::WorkerZombie]) && zombies_rejected(&evidence.lives) == 0 {
        found.push("workers were frozen, and nothing they ended was refused".to_owned());
    }
    if has(&[FaultKind::WorkerKilled, FaultKind::WorkerZombie])
        && evidence.ledger.jobs.values().all(|job| job.attempt < 2)
    {
        found.push("workers were lost, and no job has a second attempt".to_owned());
    }
    let is_nats_hit = has(&[FaultKind::NatsKilled, FaultKind::NatsWiped, FaultKind::NatsPaused]);
    let relayed: u64 = evidence.lives.iter().map(|life| life.gauge.lock().unwrap().relayed).sum();
    if is_nats_hit && relayed == 0 {
        found.push("NATS was away, and nothing was relayed".to_owned());
    }
    if evidence.resumes == 0 {
        found.push("no watcher has resumed".to_owned());
    }
    found.into_iter().map(|what| Violation::general(Invariant::Felt, what)).collect()
}
