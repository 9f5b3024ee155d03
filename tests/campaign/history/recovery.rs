//! How long it takes until all is as it was before a fault.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};

use uuid::Uuid;

/// A worker that does not hear bells yet is outrun by the others. It finds out
/// in about this time that its connection to NATS is dumb.
const OUTRUN: Duration = Duration::from_secs(15);

/// Who and what must be back before all is as it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Awaited {
    /// Jobs accepted before, not ended yet.
    pub(crate) open: HashSet<Uuid>,
    /// Edges that have not accepted a job since, by their addresses.
    pub(crate) edges: HashSet<String>,
    /// Workers that have not completed a job since that was accepted since.
    pub(crate) workers: HashSet<String>,
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some: Vec<_> = self.open.iter().take(5).collect();
        let (open, edges, workers) = (self.open.len(), &self.edges, &self.workers);
        write!(f, "{open} jobs such as {some:?}, edges {edges:?}, workers {workers:?}")
    }
}

/// How far things have recovered, since a fault was lifted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// Until a watcher read of the end of a job that was submitted and
    /// accepted since.
    pub(crate) first: Option<Duration>,
    /// Until no job that was accepted before was still waited for.
    pub(crate) overdue: Option<Duration>,
    /// Until every edge had accepted a job.
    pub(crate) edges: Option<Duration>,
    /// Until every worker had completed a job.
    pub(crate) workers: Option<Duration>,
}

impl Recovered {
    /// Until a job accepted since had ended, and none accepted before was
    /// still waited for.
    pub(crate) fn whole(self) -> Option<Duration> {
        self.first.zip(self.overdue).map(|(first, overdue)| first.max(overdue))
    }

    /// What has recovered when, in words; and how much more time than others it
    /// has.
    pub(crate) fn parts(self) -> [(&'static str, Option<Duration>, Duration); 4] {
        [
            ("no job accepted after it had ended", self.first, Duration::ZERO),
            ("jobs accepted before were still waited for", self.overdue, Duration::ZERO),
            ("not every edge had accepted a job", self.edges, Duration::ZERO),
            ("not every worker had completed a job", self.workers, OUTRUN),
        ]
    }

    /// Whether there is nothing more to wait for.
    pub(crate) fn is_whole(self) -> bool {
        self.parts().iter().all(|(_, took, _)| took.is_some())
    }
}

/// What is waited for since a fault was lifted.
#[derive(Debug)]
pub(super) struct Recovery {
    lifted: Instant,
    /// Accepted since, not ended yet.
    fresh: HashSet<Uuid>,
    awaited: Awaited,
    recovered: Recovered,
}

impl Recovery {
    pub(super) fn new(lifted: Instant, awaited: Awaited) -> Self {
        let recovered = Recovered::default();
        let mut this = Self { lifted, fresh: HashSet::new(), awaited, recovered };
        this.note();
        this
    }

    pub(super) fn so_far(&self) -> Recovered {
        self.recovered
    }

    pub(super) fn awaited(&self) -> &Awaited {
        &self.awaited
    }

    /// An edge has accepted a job whose submit began then.
    pub(super) fn accepted(&mut self, job: Uuid, began: Instant, edge: &str) {
        if began >= self.lifted {
            self.fresh.insert(job);
            self.awaited.edges.remove(edge);
            self.note();
        }
    }

    /// A job has ended, by a worker if one had it.
    pub(super) fn ended(&mut self, job: Uuid, worker: Option<&str>) {
        if self.fresh.remove(&job) {
            self.recovered.first.get_or_insert(self.lifted.elapsed());
            self.awaited.workers.remove(worker.unwrap_or_default());
        }
        self.awaited.open.remove(&job);
        self.note();
    }

    /// Notes the time of whatever is whole now.
    fn note(&mut self) {
        let elapsed = self.lifted.elapsed();
        let Recovered { overdue, edges, workers, .. } = &mut self.recovered;
        for (part, is_whole) in [
            (overdue, self.awaited.open.is_empty()),
            (edges, self.awaited.edges.is_empty()),
            (workers, self.awaited.workers.is_empty()),
        ] {
            if is_whole {
                part.get_or_insert(elapsed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn open(ids: &[u128]) -> Awaited {
        Awaited { open: ids.iter().copied().map(id).collect(), ..Awaited::default() }
    }

    #[test]
    fn it_takes_a_new_job_and_all_old_ones() {
        let lifted = Instant::now();
        let mut recovery = Recovery::new(lifted, open(&[1, 2]));

        recovery.accepted(id(3), lifted, "edge");
        recovery.ended(id(3), None);
        recovery.ended(id(1), None);
        assert!(!recovery.so_far().is_whole());

        recovery.ended(id(2), None);
        assert!(recovery.so_far().is_whole());
    }

    #[test]
    fn a_job_submitted_before_says_nothing_about_after() {
        let before = Instant::now();
        let mut recovery = Recovery::new(before + Duration::from_millis(1), open(&[]));
        recovery.accepted(id(1), before, "edge");
        recovery.ended(id(1), None);
        assert_eq!(recovery.so_far().first, None);
    }

    #[test]
    fn it_takes_every_edge_and_every_worker() {
        let lifted = Instant::now();
        let names = |names: [&str; 2]| names.map(str::to_owned).into();
        let awaited = Awaited { edges: names(["a", "b"]), workers: names(["x", "y"]), ..open(&[]) };
        let mut recovery = Recovery::new(lifted, awaited);
        for (job, edge, worker) in [(1, "a", "x"), (2, "a", "x"), (3, "b", "y")] {
            assert!(!recovery.so_far().is_whole());
            recovery.accepted(id(job), lifted, edge);
            recovery.ended(id(job), Some(worker));
        }
        assert!(recovery.so_far().is_whole());
    }
}
