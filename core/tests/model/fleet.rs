//! A fleet in simulated time: workers that crash, freeze and are cut off,
//! doorbells that are lost, late or doubled, settlements that are sent again.

use std::collections::BTreeMap;

use jetlane_core::domain::JobState;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::chance::key;
use crate::spec::{End, Model, Time};

const LEASE: Time = 30_000;
/// A lease that could not be renewed is given up so long before its end.
const MARGIN: Time = 5_000;
const RENEWAL: Time = 1_500;
const SILENCE: Time = 4_000;
const SWEEP: Time = 5_000;
const SLOTS: usize = 3;
const WORKERS: usize = 4;
const JOBS: usize = 40;
/// Faults end here; then everything has to come to its end.
const HEAL: Time = 60_000;
const PATIENCE: Time = 400_000;

/// How many fleets are simulated, each from a seed of its own.
const FLEETS: u64 = 400;

/// Something that is going to happen.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Accept,
    Bell {
        worker: usize,
    },
    Sweep {
        worker: usize,
    },
    Renew {
        worker: usize,
    },
    Finish {
        worker: usize,
        life: u32,
        id: usize,
        attempt: i32,
        end: End,
    },
    /// A settlement reaches the ledger, perhaps long after it was sent.
    Settle {
        id: usize,
        attempt: i32,
        end: End,
    },
    Crash {
        worker: usize,
    },
    Freeze {
        worker: usize,
        until: Time,
    },
}

#[derive(Clone, Debug, Default)]
struct Worker {
    /// Grows with each crash: what an earlier life had begun is gone.
    life: u32,
    frozen_until: Time,
    /// The attempts that it believes it holds, and since when unconfirmed.
    held: BTreeMap<(usize, i32), Time>,
}

struct Fleet {
    model: Model,
    workers: Vec<Worker>,
    agenda: BTreeMap<(Time, u64), Happening>,
    planned: u64,
    rng: StdRng,
    superseded: u32,
    crashes: u32,
}

impl Fleet {
    fn new(seed: u64) -> Self {
        let model = Model { heartbeats: vec![0; WORKERS], ..Model::default() };
        let mut fleet = Self {
            model,
            workers: vec![Worker::default(); WORKERS],
            agenda: BTreeMap::new(),
            planned: 0,
            rng: StdRng::seed_from_u64(seed),
            superseded: 0,
            crashes: 0,
        };
        for _ in 0..JOBS {
            let at = fleet.rng.random_range(0..HEAL / 2);
            fleet.plan(at, Happening::Accept);
        }
        for worker in 0..WORKERS {
            let first = fleet.rng.random_range(0..SWEEP);
            fleet.plan(first, Happening::Sweep { worker });
            fleet.plan(0, Happening::Renew { worker });
            for _ in 0..3 {
                let at = fleet.rng.random_range(0..HEAL);
                let fault = if fleet.rng.random_bool(0.4) {
                    Happening::Crash { worker }
                } else {
                    let until = at + fleet.rng.random_range(1_000..LEASE + 10_000);
                    Happening::Freeze { worker, until }
                };
                fleet.plan(at, fault);
            }
        }
        fleet
    }

    fn plan(&mut self, at: Time, happening: Happening) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), happening);
    }

    fn run(&mut self) {
        while let Some(((at, _), happening)) = self.agenda.pop_first() {
            self.model.now = at;
            self.happen(happening);
            self.model.check();
            let is_over = self.model.jobs.len() == JOBS
                && self.model.jobs.iter().all(|job| job.state.is_final());
            if is_over && at > HEAL {
                break;
            }
            assert!(at < PATIENCE, "not all jobs have ended: {:?}", self.model.jobs);
        }
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.model.now;
        match happening {
            Happening::Accept => {
                let priority = self.rng.random_range(0..3);
                let key = key(&mut self.rng);
                self.model.accept(now, priority, key);
                self.ring();
            }
            Happening::Bell { worker } => self.claim(worker),
            Happening::Sweep { worker } => {
                if self.workers[worker].frozen_until <= now {
                    self.model.promote();
                    self.model.reap(SILENCE);
                    self.claim(worker);
                }
                self.plan(now + SWEEP, Happening::Sweep { worker });
            }
            Happening::Renew { worker } => self.renew(worker),
            Happening::Finish { worker, life, id, attempt, end } => {
                self.finish(worker, life, id, attempt, end);
            }
            Happening::Settle { id, attempt, end } => {
                if self.model.settle(id, attempt, end) {
                    self.ring();
                } else {
                    self.superseded += 1;
                }
            }
            Happening::Crash { worker } => {
                self.crashes += 1;
                let life = self.workers[worker].life + 1;
                self.workers[worker] = Worker { life, ..Worker::default() };
            }
            Happening::Freeze { worker, until } => self.workers[worker].frozen_until = until,
        }
    }

    /// A bell that is lost, late, doubled, or just rings.
    fn ring(&mut self) {
        let now = self.model.now;
        for _ in 0..self.rng.random_range(0..3) {
            let worker = self.rng.random_range(0..WORKERS);
            let late = self.rng.random_range(0..50);
            self.plan(now + late, Happening::Bell { worker });
        }
    }

    fn claim(&mut self, worker: usize) {
        let now = self.model.now;
        if self.workers[worker].frozen_until > now {
            return;
        }
        let room = SLOTS - self.workers[worker].held.len().min(SLOTS);
        let mut begun = self.model.claim(worker, room, LEASE);
        if self.workers[worker].held.is_empty() && begun.is_empty() {
            begun.extend(self.model.claim_isolated(worker, LEASE));
        }
        for (id, attempt) in begun {
            self.workers[worker].held.insert((id, attempt), now);
            let end = match self.rng.random_range(0..10) {
                0 => End::Failed,
                1 | 2 => End::Retry { after: self.rng.random_range(0..2_000) },
                _ => End::Completed,
            };
            let end = match end {
                End::Retry { .. } if self.model.jobs[id].failures >= 2 => End::Failed,
                end => end,
            };
            let takes = self.rng.random_range(10..20_000);
            let life = self.workers[worker].life;
            self.plan(now + takes, Happening::Finish { worker, life, id, attempt, end });
        }
    }

    fn renew(&mut self, worker: usize) {
        let now = self.model.now;
        self.plan(now + RENEWAL, Happening::Renew { worker });
        let holder = &mut self.workers[worker];
        if holder.frozen_until > now || holder.held.is_empty() {
            return;
        }
        // What could not be confirmed for so long is given up, whatever the ledger says.
        holder.held.retain(|_, confirmed| now < *confirmed + LEASE - MARGIN);
        let held: Vec<_> = holder.held.keys().copied().collect();
        let renewed = self.model.renew(worker, &held, LEASE);
        let holder = &mut self.workers[worker];
        holder.held.retain(|lease, _| renewed.contains(lease));
        for confirmed in holder.held.values_mut() {
            *confirmed = now;
        }
    }

    fn finish(&mut self, worker: usize, life: u32, id: usize, attempt: i32, end: End) {
        let now = self.model.now;
        let holder = &self.workers[worker];
        if holder.life != life {
            return;
        }
        if holder.frozen_until > now {
            // It goes on where it was once it is thawed.
            let thawed = holder.frozen_until;
            self.plan(thawed, Happening::Finish { worker, life, id, attempt, end });
            return;
        }
        self.workers[worker].held.remove(&(id, attempt));
        // Sent once or twice, and on its way for as long as it takes.
        for _ in 0..self.rng.random_range(1..3) {
            let late = if self.rng.random_bool(0.1) { 8_000 } else { 5 };
            let arrival = now + self.rng.random_range(0..late);
            self.plan(arrival, Happening::Settle { id, attempt, end });
        }
    }
}

#[test]
fn every_job_of_every_fleet_ends_once() {
    let (mut superseded, mut crashes, mut completed) = (0, 0, 0);
    for seed in 0..FLEETS {
        let mut fleet = Fleet::new(seed);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fleet.run()));
        if let Err(panic) = outcome {
            eprintln!("the fleet of seed {seed} broke a rule");
            std::panic::resume_unwind(panic);
        }
        superseded += fleet.superseded;
        crashes += fleet.crashes;
        let jobs = &fleet.model.jobs;
        completed += jobs.iter().filter(|job| job.state == JobState::Completed).count();
    }
    // The faults happened, and they mattered.
    assert!(crashes > 1_000 && superseded > 1_000, "{crashes} crashes, {superseded} superseded");
    let all = usize::try_from(FLEETS).unwrap() * JOBS;
    assert!(completed * 10 > all * 6, "{completed} of {all} completed");
}
