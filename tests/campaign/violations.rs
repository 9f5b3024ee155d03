//! What must hold, and what is said when it does not.

use std::fmt;

use serde::Serialize;
use uuid::Uuid;

/// What must hold. The letters are those of the fault matrix that the design
/// goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Invariant {
    /// A: an accepted job exists, and ends once.
    Accepted,
    /// B: at most one end is committed, by the job's last attempt, with what
    /// that attempt must have brought.
    CommittedOnce,
    /// C: events are numbered without gaps and follow the states' rules.
    Events,
    /// D: every watcher got every event from its start on, in each job's order.
    Watched,
    /// E: the same key is the same job.
    Idempotent,
    /// F: after a fault, jobs run again soon.
    Recovered,
    /// G: no tenant sees another's events or jobs.
    TenantsApart,
    /// No more jobs of a concurrency key run than it lets.
    KeyLimit,
    /// What is told was committed: nothing is told that the ledger has not.
    Told,
    /// What was committed is told: NATS hears of every event.
    Announced,
    /// No attempt begins before its job is due.
    Due,
    /// A failure that is not the job's own charges nothing, and who can reach the
    /// ledger is not taken for dead.
    Charged,
    /// Processes end only when told to, in good order and in time; none panics.
    Processes,
    /// Nothing is left over: transactions, debts to NATS, memory.
    Leftovers,
    /// The API answers what it says it does.
    Api,
    /// Each kind of fault that was carried out has been felt.
    Felt,
}

/// Something that must hold and did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Violation {
    pub(crate) invariant: Invariant,
    /// The job, if it is about one.
    pub(crate) job: Option<Uuid>,
    /// What was found.
    pub(crate) what: String,
}

impl Violation {
    /// A violation about a job.
    pub(crate) fn of(invariant: Invariant, job: Uuid, what: impl Into<String>) -> Self {
        Self { invariant, job: Some(job), what: what.into() }
    }

    /// A violation about no job in particular.
    pub(crate) fn general(invariant: Invariant, what: impl Into<String>) -> Self {
        Self { invariant, job: None, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.invariant)?;
        if let Some(job) = self.job {
            write!(f, " job {job}")?;
        }
        write!(f, ": {}", self.what)
    }
}
