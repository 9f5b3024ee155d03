//! D and G: watchers got all that was due to them, in order, and nothing that
//! is another's or never was.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::Ledger;
use super::ledger::Event;
use crate::violations::{Invariant, Violation};
use crate::watching::{Told, Watched, Wish};

/// How many violations of one kind are told for each watcher.
const MOST: usize = 5;

/// Every violation of what a watcher may rely on.
pub(super) fn check(watched: &Watched, ledger: &Ledger) -> Vec<Violation> {
    let mut violations = Vec::new();
    let who = format!("watcher {} ({:?})", watched.n, watched.wish);
    let missing = missing(watched, ledger);
    for event in missing.iter().take(MOST) {
        let what = format!(
            "{who} never got event {} ({}); {} are missing in all",
            event.seq,
            event.kind,
            missing.len()
        );
        violations.push(Violation::of(Invariant::Watched, event.job_id, what));
    }
    let disorder = out_of_order(&watched.told).into_iter().take(MOST).map(|(told, before)| {
        let what = format!("{who} got event {} after {before}", told.seq);
        Violation::of(Invariant::Watched, told.job, what)
    });
    violations.extend(disorder);
    violations.extend(untrue(&watched.told, ledger, &who));
    let strangers = watched.told.iter().filter_map(|told| strange(watched.wish, told, ledger));
    violations.extend(strangers.take(MOST).map(|(invariant, told, what)| {
        Violation::of(invariant, told.job, format!("{who} got event {} {what}", told.seq))
    }));
    violations
}

/// What NATS was told and the ledger does not know, and the other way round.
pub(super) fn check_feed(feed: &[Told], ledger: &Ledger) -> Vec<Violation> {
    let mut violations = untrue(feed, ledger, "NATS");
    let told: HashSet<(Uuid, i32)> = feed.iter().map(|told| (told.job, told.seq)).collect();
    let mut untold: Vec<_> = ledger
        .events
        .values()
        .flatten()
        .filter(|event| !told.contains(&(event.job_id, event.seq)))
        .collect();
    untold.sort_by_key(|event| event.xid);
    violations.extend(untold.iter().take(MOST).map(|event| {
        let what = format!(
            "NATS was never told event {} ({}); {} are missing in all",
            event.seq,
            event.kind,
            untold.len()
        );
        Violation::of(Invariant::Announced, event.job_id, what)
    }));
    violations
}

/// The events that were due to a watcher and that it did not get.
pub(crate) fn missing<'a>(watched: &Watched, ledger: &'a Ledger) -> Vec<&'a Event> {
    let got: HashSet<(Uuid, i32)> = watched.told.iter().map(|told| (told.job, told.seq)).collect();
    let events = ledger.events.values().flatten();
    events
        .filter(|event| event.xid >= watched.begin && is_wanted(watched.wish, event))
        .filter(|event| !got.contains(&(event.job_id, event.seq)))
        .collect()
}

fn is_wanted(wish: Wish, event: &Event) -> bool {
    event.tenant == wish.tenant && wish.lane.is_none_or(|lane| event.lane == lane)
}

/// Events that came, for the first time, after a later one of their job; with
/// the one before them.
fn out_of_order(told: &[Told]) -> Vec<(Told, i32)> {
    let mut seen = HashSet::new();
    let mut latest: HashMap<Uuid, i32> = HashMap::new();
    let mut disorder = Vec::new();
    for told in told {
        if !seen.insert((told.job, told.seq)) {
            continue;
        }
        let latest = latest.entry(told.job).or_insert(told.seq);
        if told.seq < *latest {
            disorder.push((*told, *latest));
        }
        *latest = told.seq.max(*latest);
    }
    disorder
}

/// What was told and is not so.
fn untrue(told: &[Told], ledger: &Ledger, who: &str) -> Vec<Violation> {
    let mut seen = HashSet::new();
    let news = told.iter().filter(|told| seen.insert(**told));
    let untrue = news.filter_map(|told| {
        let what = match ledger.event(told.job, told.seq) {
            None => "the ledger has no such event".to_owned(),
            Some(event) if event.kind != told.kind.to_string() || event.attempt != told.attempt => {
                format!("the ledger says {} of attempt {}", event.kind, event.attempt)
            }
            Some(_) => return None,
        };
        let what = format!(
            "{who} was told {} {} of attempt {}; {what}",
            told.seq, told.kind, told.attempt
        );
        Some(Violation::of(Invariant::Told, told.job, what))
    });
    untrue.take(MOST).collect()
}

/// What is wrong with a watcher's getting an event, if something is.
fn strange<'a>(
    wish: Wish,
    told: &'a Told,
    ledger: &Ledger,
) -> Option<(Invariant, &'a Told, String)> {
    let event = ledger.event(told.job, told.seq)?;
    if event.tenant != wish.tenant {
        return Some((Invariant::TenantsApart, told, format!("of {}", event.tenant)));
    }
    (!is_wanted(wish, event)).then(|| (Invariant::Watched, told, format!("of lane {}", event.lane)))
}

#[cfg(test)]
mod tests {
    use super::super::given::{job, ledger_of};
    use super::super::ledger::Job;
    use super::*;
    use crate::watching::Kind;

    const WISH: Wish = Wish { tenant: "acme", lane: None, from_start: true };

    fn given() -> (Ledger, Vec<Told>) {
        let job = Job { tenant: "acme".to_owned(), ..job(0, "completed") };
        let told = [(1, Kind::Queued, 0), (2, Kind::Running, 1), (3, Kind::Completed, 1)]
            .map(|(seq, kind, attempt)| Told { job: job.id, seq, kind, attempt });
        (ledger_of(vec![job]), told.to_vec())
    }

    fn found(told: Vec<Told>, ledger: &Ledger, wish: Wish) -> Vec<Invariant> {
        let watched = Watched { n: 0, wish, begin: 0, told };
        check(&watched, ledger).into_iter().map(|violation| violation.invariant).collect()
    }

    #[test]
    fn all_of_it_with_repeats_is_well() {
        let (ledger, mut told) = given();
        told.push(told[0]);
        assert_eq!(found(told, &ledger, WISH), []);
    }

    #[test]
    fn a_gap_is_noticed() {
        let (ledger, mut told) = given();
        told.remove(1);
        assert_eq!(found(told, &ledger, WISH), [Invariant::Watched]);
    }

    #[test]
    fn what_came_before_a_watcher_began_is_not_due_to_it() {
        let (ledger, mut told) = given();
        told.remove(0);
        let watched = Watched { n: 0, wish: WISH, begin: 11, told };
        assert_eq!(check(&watched, &ledger), []);
    }

    #[test]
    fn disorder_is_noticed() {
        let (ledger, mut told) = given();
        told.swap(1, 2);
        assert_eq!(found(told, &ledger, WISH), [Invariant::Watched]);
    }

    #[test]
    fn an_event_that_was_never_committed_is_noticed() {
        let (ledger, mut told) = given();
        told.push(Told { seq: 4, ..told[2] });
        assert_eq!(found(told, &ledger, WISH), [Invariant::Told]);
    }

    #[test]
    fn an_event_of_another_attempt_is_noticed() {
        let (ledger, mut told) = given();
        told.push(Told { attempt: 2, ..told[2] });
        assert_eq!(found(told.clone(), &ledger, WISH), [Invariant::Told]);
        assert_eq!(check_feed(&told, &ledger).len(), 1);
    }

    #[test]
    fn an_event_that_nats_was_never_told_is_noticed() {
        let (ledger, mut told) = given();
        assert_eq!(check_feed(&told, &ledger), []);
        told.remove(1);
        let found = check_feed(&told, &ledger);
        assert_eq!(found.iter().map(|v| v.invariant).collect::<Vec<_>>(), [Invariant::Announced]);
    }

    #[test]
    fn another_tenants_event_is_noticed() {
        let (ledger, told) = given();
        let found = found(told, &ledger, Wish { tenant: "globex", ..WISH });
        assert_eq!(found, [Invariant::TenantsApart; 3]);
    }
}
