//! Of a concurrency key, no more jobs run at a time than it lets.

use std::collections::HashMap;

use uuid::Uuid;

use super::ledger::{Event, Ledger};
use crate::keys::{self, Limit};
use crate::violations::{Invariant, Violation};

/// What keeps a place of a key, from the transaction that began it to the one
/// that ended it: an attempt, or of a sequential key all of a job's attempts.
/// Who is let through by an end sees it committed: its transaction is younger.
#[derive(Clone, Copy, Debug)]
struct Run {
    job: Uuid,
    begin: i64,
    end: i64,
}

/// Every run of a key that began while as many as it lets were under way.
pub(super) fn check(ledger: &Ledger) -> Vec<Violation> {
    let mut keys: HashMap<(&str, &str), Vec<Run>> = HashMap::new();
    for job in ledger.jobs.values() {
        let Some(key) = &job.concurrency_key else { continue };
        let runs = keys.entry((&job.tenant, key)).or_default();
        runs.extend(runs_of(job.id, ledger.events_of(job.id), keys::limit(key)));
    }
    let mut violations = Vec::new();
    for ((tenant, key), mut runs) in keys {
        runs.sort_by_key(|run| (run.begin, run.end));
        let most = match keys::limit(key) {
            Limit::Parallel(most) => most,
            Limit::Sequential => 1,
        };
        let mut under_way: Vec<Run> = Vec::new();
        for run in runs {
            under_way.retain(|other| other.end > run.begin && other.job != run.job);
            if under_way.len() >= most {
                let others: Vec<_> = under_way.iter().map(|other| other.job).collect();
                let what = format!("it ran beside {others:?}, with key {key} of {tenant}");
                violations.push(Violation::of(Invariant::KeyLimit, run.job, what));
            }
            under_way.push(run);
        }
    }
    violations
}

fn runs_of(job: Uuid, events: &[Event], limit: Limit) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for event in events {
        let is_final = matches!(event.state.as_str(), "completed" | "failed" | "cancelled");
        match event.kind.as_str() {
            // A sequential key is the job's until it is final.
            "running" if limit == Limit::Sequential && !runs.is_empty() => {}
            _ if limit == Limit::Sequential && !runs.is_empty() && !is_final => {}
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
    fn given(key: &str, first: i64, second: i64) -> Ledger {
        let keyed = || Job { concurrency_key: Some(key.into()), ..job(0, "completed") };
        let (one, two) = (keyed(), keyed());
        let events = [plain_life(&one, first), plain_life(&two, second)].concat();
        Ledger::of(vec![one, two], events)
    }

    #[test]
    fn one_after_the_other_is_well() {
        assert_eq!(check(&given("one", 1, 3)), []);
    }

    #[test]
    fn two_at_a_time_are_noticed() {
        assert_eq!(check(&given("one", 1, 1)).len(), 1);
        assert_eq!(check(&given("sequence", 1, 1)).len(), 1);
        assert_eq!(check(&given("two", 1, 1)), []);
    }
}
