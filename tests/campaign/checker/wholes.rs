//! What was to be accepted together or not at all was.

use std::collections::HashSet;

use super::ledger::Ledger;
use crate::violations::{Invariant, Violation};

/// Every batch of which only a part exists.
pub(super) fn check(wholes: &[Vec<u32>], ledger: &Ledger) -> Vec<Violation> {
    let existing: HashSet<u32> =
        ledger.jobs.values().filter_map(super::ledger::Job::number).collect();
    let parts = wholes.iter().filter_map(|whole| {
        let count = whole.iter().filter(|n| existing.contains(n)).count();
        (count != 0 && count != whole.len()).then(|| {
            let what = format!("only {count} of {} jobs of a batch exist: {whole:?}", whole.len());
            Violation::general(Invariant::Accepted, what)
        })
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::super::given::{job, ledger_of};
    use super::*;

    #[test]
    fn a_part_of_a_batch_is_noticed() {
        let ledger = ledger_of(vec![job(0, "completed"), job(1, "completed")]);
        assert_eq!(check(&[vec![0, 1], vec![2, 3]], &ledger), []);
        assert_eq!(check(&[vec![1, 2]], &ledger).len(), 1);
    }
}
