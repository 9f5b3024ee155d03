//! Whether what clients saw, what the ledger holds, and what NATS was told
//! agree with each other and with what is promised.
//!
//! Nothing of the product's is used: states, transitions and expectations are
//! written down here once more.

mod accepted;
mod commits;
mod due;
mod felt;
mod keys;
mod ledger;
mod leftovers;
mod paths;
mod processes;
mod streams;
mod wholes;

#[cfg(test)]
mod given;

use std::sync::Arc;

pub(crate) use ledger::Ledger;
pub(crate) use processes::zombies_rejected;
pub(crate) use streams::missing;

use crate::campaign::Quiet;
use crate::faults::{Done, FaultKind};
use crate::history::Submission;
use crate::violations::Violation;
use crate::watching::{Told, Watched};
use crate::world::Incarnation;

/// All that is known of a campaign.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// What was to go wrong, over and over.
    pub(crate) kinds: Vec<FaultKind>,
    /// What this machine lacks for the other kinds.
    pub(crate) left_out: Vec<String>,
    pub(crate) submissions: Vec<Submission>,
    /// The numbers of those that were to be accepted together or not at all.
    pub(crate) wholes: Vec<Vec<u32>>,
    /// What clients saw that must not be.
    pub(crate) blamed: Vec<Violation>,
    pub(crate) ledger: Ledger,
    pub(crate) watched: Vec<Watched>,
    /// What NATS was told.
    pub(crate) feed: Vec<Told>,
    /// Streams that went on after an id.
    pub(crate) resumes: u64,
    /// How much of the time somebody waited for a processor, in percent.
    pub(crate) pressure: Vec<f64>,
    pub(crate) done: Vec<Done>,
    pub(crate) lives: Vec<Arc<Incarnation>>,
    pub(crate) quiet: Quiet,
}

/// Every violation there is.
pub(crate) fn check(evidence: &Evidence) -> Vec<Violation> {
    let Evidence { submissions, ledger, .. } = evidence;
    let mut violations = evidence.blamed.clone();
    violations.extend(accepted::check(submissions, ledger));
    violations.extend(commits::check(submissions, ledger));
    violations.extend(due::check(submissions, ledger));
    violations.extend(wholes::check(&evidence.wholes, ledger));
    violations.extend(paths::check(ledger));
    violations.extend(keys::check(ledger));
    for watched in &evidence.watched {
        violations.extend(streams::check(watched, ledger));
    }
    violations.extend(streams::check_feed(&evidence.feed, ledger));
    violations.extend(leftovers::check(&evidence.quiet));
    violations.extend(processes::check(&evidence.lives));
    violations.extend(felt::check(evidence));
    violations
}
