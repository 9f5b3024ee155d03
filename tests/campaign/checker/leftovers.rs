//! Nothing is left over once all has come to rest.

use crate::campaign::Quiet;
use crate::violations::{Invariant, Violation};

/// What was left over.
pub(super) fn check(quiet: &Quiet) -> Vec<Violation> {
    let mut found = Vec::new();
    for session in &quiet.idle_in_transaction {
        found.push(format!("a transaction was left open by {session}"));
    }
    if quiet.owed > 0 {
        found.push(format!("{} messages are still owed to NATS", quiet.owed));
    }
    if quiet.set_aside > 0 {
        found.push(format!("{} messages were set aside", quiet.set_aside));
    }
    found.into_iter().map(|what| Violation::general(Invariant::Leftovers, what)).collect()
}
