//! Random histories of the model.

use proptest::prelude::{ProptestConfig, any, proptest};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::spec::{End, Key, Limit, Model};

const WORKERS: usize = 3;
const LEASE: u64 = 30_000;
const SILENCE: u64 = 4_000;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Accept {
        delay: u64,
        priority: i32,
        key: Option<Key>,
    },
    Change {
        job: usize,
        priority: i32,
    },
    Limit(Limit),
    Promote,
    Claim {
        worker: usize,
        room: usize,
    },
    ClaimIsolated {
        worker: usize,
    },
    Renew {
        worker: usize,
    },
    /// Settles one of the attempts that were ever begun, current or not.
    Settle {
        begun: usize,
        end: End,
    },
    Cancel {
        job: usize,
    },
    Reap,
    Redrive {
        job: usize,
    },
    Advance {
        by: u64,
    },
}

/// What a step was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Nothing,
    /// These attempts hold a lease: just begun, or renewed.
    Leases(Vec<(usize, i32)>),
    /// Whether the attempt was the current one.
    Settled(bool),
}

/// A step by chance.
pub(crate) fn step(rng: &mut StdRng) -> Step {
    let worker = rng.random_range(0..WORKERS);
    match rng.random_range(0..24) {
        0..3 => Step::Accept {
            delay: if rng.random_bool(0.5) { 0 } else { rng.random_range(1..3_000) },
            priority: rng.random_range(-1..2),
            key: key(rng),
        },
        3 => Step::Promote,
        4..8 => Step::Claim { worker, room: rng.random_range(1..4) },
        8 => Step::ClaimIsolated { worker },
        9 => Step::Renew { worker },
        10..14 => Step::Settle { begun: rng.random_range(0..1_000), end: end(rng) },
        14 => Step::Cancel { job: rng.random_range(0..1_000) },
        15..17 => Step::Reap,
        17 => Step::Redrive { job: rng.random_range(0..1_000) },
        18 => Step::Limit(match rng.random_range(0..5) {
            4 => Limit::Sequential,
            most => Limit::Parallel(most),
        }),
        19..21 => {
            Step::Change { job: rng.random_range(0..1_000), priority: rng.random_range(-1..2) }
        }
        _ => Step::Advance {
            by: match rng.random_range(0..3) {
                0 => rng.random_range(1..2_000),
                1 => rng.random_range(SILENCE + 1..6_000),
                _ => LEASE + 1_000,
            },
        },
    }
}

/// Half of the jobs have one.
pub(crate) fn key(rng: &mut StdRng) -> Option<Key> {
    rng.random_bool(0.5).then(|| Key::ALL[rng.random_range(0..Key::ALL.len())])
}

fn end(rng: &mut StdRng) -> End {
    match rng.random_range(0..5) {
        0 => End::Completed,
        1 => End::Retry { after: rng.random_range(0..2_000) },
        2 => End::Failed,
        3 => End::Released,
        _ => End::Cancelled,
    }
}

/// A model in progress, with all attempts that were ever begun.
pub(crate) struct History {
    pub(crate) model: Model,
    pub(crate) begun: Vec<(usize, usize, i32)>,
}

impl History {
    pub(crate) fn new() -> Self {
        let model = Model { heartbeats: vec![0; WORKERS], ..Model::default() };
        Self { model, begun: Vec::new() }
    }

    pub(crate) fn take(&mut self, step: &Step) -> Answer {
        let model = &mut self.model;
        match *step {
            Step::Accept { delay, priority, key } => {
                model.accept(model.now + delay, priority, key);
            }
            Step::Change { job, priority } => {
                if !model.jobs.is_empty() {
                    model.change(job % model.jobs.len(), priority);
                }
            }
            Step::Limit(limit) => model.set_limit(limit),
            Step::Promote => model.promote(),
            Step::Claim { worker, room } => {
                let claimed = model.claim(worker, room, LEASE);
                self.begun.extend(claimed.iter().map(|(id, attempt)| (worker, *id, *attempt)));
                return Answer::Leases(claimed);
            }
            Step::ClaimIsolated { worker } => {
                let claimed = Vec::from_iter(model.claim_isolated(worker, LEASE));
                self.begun.extend(claimed.iter().map(|(id, attempt)| (worker, *id, *attempt)));
                return Answer::Leases(claimed);
            }
            Step::Renew { worker } => {
                let held: Vec<_> = self
                    .begun
                    .iter()
                    .filter(|(holder, ..)| *holder == worker)
                    .map(|(_, id, attempt)| (*id, *attempt))
                    .collect();
                let mut renewed = model.renew(worker, &held, LEASE);
                for (id, attempt) in &renewed {
                    assert_eq!(model.jobs[*id].attempt, *attempt, "a superseded lease was renewed");
                }
                renewed.sort_unstable();
                return Answer::Leases(renewed);
            }
            Step::Settle { begun, end } => {
                if let Some((_, id, attempt)) = pick(&self.begun, begun) {
                    let before = model.jobs[id].clone();
                    let is_current = model.settle(id, attempt, end);
                    assert_eq!(
                        is_current,
                        before.attempt == attempt && before.lease_until > 0,
                        "{before:?}"
                    );
                    let told = model.jobs[id].events.len() - before.events.len();
                    assert_eq!(
                        told,
                        usize::from(is_current),
                        "a superseded attempt told something"
                    );
                    return Answer::Settled(is_current);
                }
            }
            Step::Cancel { job } => {
                if !model.jobs.is_empty() {
                    model.cancel(job % model.jobs.len());
                }
            }
            Step::Reap => model.reap(SILENCE),
            Step::Redrive { job } => {
                if !model.jobs.is_empty() {
                    model.redrive(job % model.jobs.len());
                }
            }
            Step::Advance { by } => model.now += by,
        }
        Answer::Nothing
    }
}

pub(crate) fn pick<T: Copy>(items: &[T], n: usize) -> Option<T> {
    (!items.is_empty()).then(|| items[n % items.len()])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200_000, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_a_rule(seed in any::<u64>(), steps in 1..40_usize) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut history = History::new();
        for _ in 0..steps {
            history.take(&step(&mut rng));
            history.model.check();
        }
    }
}
