//! What a submitted job is like, by its number.

use std::ops::Range;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value, json};

use crate::args::Switch;
use crate::chance::{Use, chance};
use crate::keys::{self, Limit};
use crate::world::{LANES, TENANTS};

/// How many attempts a job has. More than the failures that any plan asks for.
const MAX_ATTEMPTS: u32 = 3;

/// How a job must end unless it is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Completes,
    /// So many attempts fail first.
    CompletesAfter(u32),
    Fails,
}

/// A job to be submitted.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Its number, which its name tells.
    pub(crate) n: u32,
    pub(crate) tenant: &'static str,
    pub(crate) lane: &'static str,
    pub(crate) priority: i32,
    pub(crate) duration: Duration,
    pub(crate) fate: Fate,
    /// How much later it is due.
    pub(crate) delay: Option<Duration>,
    /// The same as a time, once it is known when it is first submitted: the
    /// payload of a retry must not differ.
    pub(crate) run_at: Option<DateTime<Utc>>,
    pub(crate) concurrency_key: Option<String>,
    /// With one, it is submitted until there is an answer.
    pub(crate) idempotency_key: Option<String>,
    /// Submitted twice at the same time.
    pub(crate) is_doubled: bool,
    /// What its client does once it is accepted.
    pub(crate) then: Vec<Then>,
}

/// What a client does with an accepted job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Looks whether it is there, and whether a stranger sees it.
    Read,
    /// Submits it again.
    SubmitAgain,
    /// Changes it.
    Change,
    /// Gives it another chance once it has failed.
    Redrive,
    /// Cancels it after so long.
    CancelAfter(Duration),
}

impl Plan {
    /// A mixed load: mostly short jobs, some of everything.
    pub(crate) fn mixed(seed: u64, n: u32, idempotency: Switch) -> Self {
        let mut rng = chance(seed, Use::Plan, n.into());
        let is_long = rng.random_bool(0.05);
        let millis = if is_long { 200..=1500 } else { 1..=50 };
        let fate = match rng.random_range(0..100) {
            0..2 => Fate::Fails,
            2..10 => Fate::CompletesAfter(rng.random_range(1..MAX_ATTEMPTS)),
            _ => Fate::Completes,
        };
        let delay =
            rng.random_bool(0.05).then(|| Duration::from_millis(rng.random_range(300..3000)));
        // A key is held for as long as its job takes, and a sequential one for as
        // long as its failures take too.
        let key = (!is_long && delay.is_none() && rng.random_bool(0.1))
            .then(|| keys::any(&mut rng))
            .filter(|(_, limit)| match limit {
                Limit::Parallel(_) => fate == Fate::Completes,
                Limit::Sequential => true,
            });
        // Else no more of them than are let would ever want to run.
        let millis = match key {
            Some((_, Limit::Parallel(most))) if most > 1 => 300..=500,
            _ => millis,
        };
        let key = key.map(|(key, _)| key.to_owned());
        let has_key = idempotency == Switch::On && rng.random_bool(0.5);
        let is_cancellable = is_long || delay.is_some();
        let then = [
            (0.05, Then::Read),
            (if has_key { 0.1 } else { 0.0 }, Then::SubmitAgain),
            (if delay.is_some() || key.is_some() { 0.5 } else { 0.0 }, Then::Change),
            (if fate == Fate::Fails && key.is_none() { 0.5 } else { 0.0 }, Then::Redrive),
            (
                if is_cancellable { 0.3 } else { 0.02 },
                Then::CancelAfter(Duration::from_millis(rng.random_range(0..600))),
            ),
        ];
        let then = then.into_iter().filter(|(share, _)| rng.random_bool(*share));
        let then = then.map(|(_, then)| then).collect();
        Self {
            n,
            tenant: TENANTS.choose(&mut rng).expect("there are tenants"),
            lane: LANES[usize::from(rng.random_bool(0.3))],
            priority: if rng.random_bool(0.2) { rng.random_range(-5..=10) } else { 0 },
            duration: Duration::from_millis(rng.random_range(millis)),
            fate,
            delay,
            run_at: None,
            concurrency_key: key,
            idempotency_key: has_key.then(|| format!("campaign-{seed}-{n}")),
            is_doubled: has_key && rng.random_bool(0.1),
            then,
        }
    }

    /// A job that takes long and goes first, for faults that need attempts to
    /// hit.
    pub(crate) fn long(seed: u64, n: u32, millis: Range<u64>) -> Self {
        let mut rng = chance(seed, Use::Plan, n.into());
        Self {
            n,
            tenant: TENANTS.choose(&mut rng).expect("there are tenants"),
            lane: LANES[0],
            priority: 100,
            duration: Duration::from_millis(rng.random_range(millis)),
            fate: Fate::Completes,
            delay: None,
            run_at: None,
            concurrency_key: None,
            idempotency_key: None,
            is_doubled: false,
            then: Vec::new(),
        }
    }

    /// Its priority after a change.
    pub(crate) fn changed_priority(&self) -> i32 {
        self.priority + 1
    }

    /// Its name, by which the ledger's job is known.
    pub(crate) fn name(&self) -> String {
        name(self.n)
    }

    /// Whether it ends soon after it was accepted, if all is well: it waits for
    /// no time and no other job, nobody who came later may go first, and one
    /// attempt is enough.
    pub(crate) fn ends_soon(&self) -> bool {
        self.delay.is_none()
            && self.concurrency_key.is_none()
            && self.priority >= 0
            && !matches!(self.fate, Fate::CompletesAfter(_))
    }

    /// The body of its submit.
    pub(crate) fn body(&self) -> Value {
        let mut params = Map::new();
        params.insert("duration_ms".into(), json!(self.duration.as_millis()));
        match self.fate {
            Fate::Completes => {}
            Fate::CompletesAfter(failures) => {
                params.insert("fail".into(), json!(failures));
            }
            Fate::Fails => {
                params.insert("fail".into(), json!("permanent"));
            }
        }
        let mut body = json!({
            "name": self.name(),
            "lane": self.lane,
            "priority": self.priority,
            "max_attempts": MAX_ATTEMPTS,
            "params": params,
        });
        if let Some(key) = &self.concurrency_key {
            body["concurrency_key"] = json!(key);
        }
        if let Some(run_at) = &self.run_at {
            body["run_at"] = json!(run_at);
        }
        body
    }
}

fn name(n: u32) -> String {
    format!("job-{n}")
}

/// The number of the submit that a job's name tells of.
pub(crate) fn number(name: &str) -> Option<u32> {
    name.strip_prefix("job-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_number() {
        assert_eq!(number(&name(17)), Some(17));
        assert_eq!(number("another"), None);
    }

    #[test]
    fn the_same_number_is_the_same_plan() {
        let plan = |n| format!("{:?}", Plan::mixed(7, n, Switch::On));
        assert!((0..100).all(|n| plan(n) == plan(n)));
        assert_ne!(plan(1), plan(2));
    }
}
