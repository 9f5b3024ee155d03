//! How far back the claims of a lane look, without I/O.
//!
//! A claim passes what the jobs before it have left behind in the ledger's
//! index, until a vacuum has taken that away; and while a transaction stays
//! open that could still see it, such as a dump or a forgotten session, none
//! can. Each claim takes longer than the one before then. So while claims that
//! look at everything take long, most of them look only at jobs that are about as
//! new as those claimed last, and everything is looked at now and then: what
//! waits for another attempt, or came late, is found then.

use std::collections::VecDeque;
use std::time::Duration;

use jetlane_core::domain::JobId;
use tokio::time::Instant;

/// What a look at everything may take.
const SLOW: Duration = Duration::from_millis(10);

/// It takes long if so many in a row did: a busy machine has one that does not.
const IN_A_ROW: usize = 4;

/// Of the time, looks at everything take one part in so many then.
const PARTS: u32 = 20;

/// Ids are made by the clocks of many edges, and committed some time later.
const SKEW: Duration = Duration::from_secs(1);

/// How far back the claims of a lane look.
#[derive(Debug, Default)]
pub(crate) struct Lookback {
    /// What the latest looks at everything took.
    took: VecDeque<Duration>,
    /// Nothing older was left when it was claimed from here last.
    since: Option<JobId>,
    /// When everything is looked at again; `None` if that is always.
    whole_at: Option<Instant>,
}

/// A claim that was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// From where on, if not everywhere.
    pub(crate) since: Option<JobId>,
    /// When it was sent.
    pub(crate) began: Instant,
    /// When it was answered.
    pub(crate) ended: Instant,
    /// It was answered with as many jobs as it asked for: there may be more.
    pub(crate) is_full: bool,
}

impl Lookback {
    /// From where on the next claim is to look; `None` for everything.
    pub(crate) fn since(&self) -> Option<JobId> {
        self.whole_at.and(self.since)
    }

    /// When everything is to be looked at, bell or not.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.whole_at
    }

    /// Whether that is now; then the next claim does.
    pub(crate) fn take_due(&mut self, now: Instant) -> bool {
        self.whole_at.take_if(|at| *at <= now).is_some()
    }

    /// Takes note of a claim, and of the jobs that it took.
    pub(crate) fn note(&mut self, look: Look, jobs: impl Iterator<Item = JobId> + Clone) {
        let edge = if look.is_full { jobs.min() } else { jobs.max() };
        self.since = self.since.max(edge.map(|id| id.before(SKEW)));
        if look.since.is_some() {
            return;
        }
        let took = look.ended - look.began;
        self.took.push_back(took);
        if self.took.len() > IN_A_ROW {
            self.took.pop_front();
        }
        let is_slow = self.took.len() == IN_A_ROW && self.took.iter().all(|took| *took >= SLOW);
        self.whole_at = is_slow.then(|| look.ended + took * (PARTS - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// The id of a job made so many seconds after the beginning of time.
    fn id(seconds: u32) -> JobId {
        let millis = u128::from(seconds) * 1_000;
        JobId(uuid::Uuid::from_u128(millis << 80 | 0x7000_8000_0000_0000_0001))
    }

    /// A claim by what is to be looked at, which takes so long and finds these.
    fn claim(lookback: &mut Lookback, took: Duration, found: &[JobId]) -> Option<JobId> {
        let began = Instant::now();
        let since = lookback.since();
        let look = Look { since, began, ended: began + took, is_full: false };
        lookback.note(look, found.iter().copied());
        since
    }

    #[tokio::test]
    async fn everything_is_looked_at_unless_that_is_always_slow() {
        let mut lookback = Lookback::default();
        for round in 0..20 {
            let took = if round % 4 == 3 { MS } else { 100 * MS };
            assert_eq!(claim(&mut lookback, took, &[id(100 + round)]), None);
        }
        assert_eq!(lookback.due(), None);
    }

    #[tokio::test]
    async fn slow_looks_are_few() {
        let mut lookback = Lookback::default();
        let began = Instant::now();
        for _ in 0..4 {
            assert_eq!(claim(&mut lookback, 100 * MS, &[id(100)]), None);
        }
        // Only what is about as new as the job that was found.
        assert_eq!(claim(&mut lookback, MS, &[id(120)]), Some(id(99).before(Duration::ZERO)));
        assert_eq!(claim(&mut lookback, MS, &[]), Some(id(119).before(Duration::ZERO)));

        let due = lookback.due().unwrap();
        assert!(due >= began + 2_000 * MS, "a twentieth of the time");
        assert!(!lookback.take_due(due - MS));
        assert!(lookback.take_due(due));
        assert_eq!(claim(&mut lookback, MS, &[id(3)]), None, "everything, once");
        assert_eq!(claim(&mut lookback, MS, &[]), None, "it is fast again");
    }

    #[tokio::test]
    async fn of_a_backlog_the_oldest_that_was_taken_counts() {
        let mut lookback = Lookback::default();
        for _ in 0..4 {
            let began = Instant::now();
            let look = Look { since: None, began, ended: began + 100 * MS, is_full: true };
            lookback.note(look, [id(100), id(900)].into_iter());
        }
        assert_eq!(lookback.since(), Some(id(99).before(Duration::ZERO)));
    }
}
