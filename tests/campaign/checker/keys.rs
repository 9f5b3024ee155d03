//! At most one job of a concurrency key runs at a time.

use std::collections::HashMap;

use uuid::Uuid;

use super::ledger::{Event, Ledger};
use crate::violations::{Invariant, Violation};

/// One attempt, from the transaction that began it to the one that ended it.
/// Who is let through by an end sees it committed: its transaction is younger.
#[derive(Clone, Copy, Debug)]
struct Run {
    job: Uuid,
    begin: i64,
    end: i64,
}

/// Every two runs of a key that overlap.
pub(super) fn check(ledger: &Ledger) -> Vec<Violation> {
    let mut keys: HashMap<(&str, &str), Vec<Run>> = HashMap::new();
    for job in ledger.jobs.values() {
        let Some(key) = &job.concurrency_key else { continue };
        let runs = keys.entry((&job.tenant, key)).or_default();
        runs.extend(runs_of(job.id, ledger.events_of(job.id)));
    }
    let mut violations = Vec::new();
    for ((tenant, key), mut runs) in keys {
        runs.sort_by_key(|run| (run.begin, run.end));
        let overlaps = runs.windows(2).filter(|pair| {
            let [one, next] = pair else { return false };
            one.job != next.job && next.begin < one.end
        });
        violations.extend(overlaps.map(|pair| {
            let what = format!("it ran beside {}, with key {key} of {tenant}", pair[1].job);
            Violation::of(Invariant::OneOfAKey, pair[0].job, what)
        }));
    }
    violations
}

fn runs_of(job: Uuid, events: &[Event]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for event in events {
        match event.kind.as_str() {
            "running" => runs.push(Run { job, begin: event.xid, end: i64::MAX }),
            "cancel_requested" => {}
            _ => {
                if let Some(run) = runs.last_mut().filter(|run| run.end == i64::MAX) {
                    run.end = event.xid;
                }
            }
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::super::given::{job, plain_life};
    use super::super::ledger::Job;
    use super::*;

    /// Two jobs of a key whose attempts begin in these transactions.
    fn given(first: i64, second: i64) -> Ledger {
        let keyed = || Job { concurrency_key: Some("k".into()), ..job(0, "completed") };
        let (one, two) = (keyed(), keyed());
        let events = [plain_life(&one, first), plain_life(&two, second)].concat();
        Ledger::of(vec![one, two], events)
    }

    #[test]
    fn one_after_the_other_is_well() {
        assert_eq!(check(&given(1, 3)), []);
    }

    #[test]
    fn two_at_a_time_are_noticed() {
        assert_eq!(check(&given(1, 1)).len(), 1);
    }
}
