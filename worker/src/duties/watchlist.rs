//! When to look after which worker.

use std::collections::HashMap;
use std::time::Duration;

use jetlane_core::domain::WorkerId;
use tokio::time::Instant;

/// A worker that is overdue and yet not reaped is looked at again after this.
/// PostgreSQL may have started lately: then nobody's silence counts yet.
const RETRY: Duration = Duration::from_millis(500);

/// Past the due time by so much, so that the ledger finds the silence too long.
const SLACK: Duration = Duration::from_millis(10);

/// The other workers that hold attempts, and when each is silent for too long.
///
/// Whoever is heard need not be asked for in the ledger.
#[derive(Debug)]
pub(crate) struct Watchlist {
    me: WorkerId,
    silence: Duration,
    due: HashMap<WorkerId, Instant>,
}

impl Watchlist {
    /// Nobody is known to hold attempts. A worker is dead after `silence`.
    pub(crate) fn new(me: WorkerId, silence: Duration) -> Self {
        Self { me, silence, due: HashMap::new() }
    }

    /// A worker that holds attempts gave a sign of life.
    pub(crate) fn heard(&mut self, worker: WorkerId, now: Instant) {
        if worker != self.me {
            self.due.insert(worker, now + self.silence + SLACK);
        }
    }

    /// The ledger said who holds attempts, and how long until each is silent
    /// for too long. Who is not named holds none, but may again before it gives
    /// the next sign of life: it is forgotten once the last one is too old.
    pub(crate) fn learn(&mut self, busy: &[(WorkerId, Duration)], now: Instant) {
        self.due.retain(|_, due| *due > now);
        for (worker, left) in busy.iter().filter(|(worker, _)| *worker != self.me) {
            let due = now + if left.is_zero() { RETRY } else { *left + SLACK };
            // A sign of life may have come while the ledger was asked.
            let known = self.due.entry(*worker).or_insert(due);
            *known = due.max(*known);
        }
    }

    /// When to ask the ledger next; `None` if nobody holds attempts.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ME: WorkerId = WorkerId(Uuid::from_u128(1));
    const OTHER: WorkerId = WorkerId(Uuid::from_u128(2));
    const SILENCE: Duration = Duration::from_secs(4);

    #[tokio::test]
    async fn a_worker_is_due_when_the_ledger_says() {
        let now = Instant::now();
        let mut list = Watchlist::new(ME, SILENCE);
        list.learn(&[(OTHER, Duration::from_secs(3))], now);
        assert_eq!(list.next_due(), Some(now + Duration::from_secs(3) + SLACK));
    }

    #[tokio::test]
    async fn a_sign_of_life_puts_a_worker_off() {
        let now = Instant::now();
        let mut list = Watchlist::new(ME, SILENCE);
        list.learn(&[(OTHER, Duration::from_secs(1))], now);
        list.heard(OTHER, now);
        assert_eq!(list.next_due(), Some(now + SILENCE + SLACK));
    }

    #[tokio::test]
    async fn a_worker_heard_of_first_by_its_sign_of_life_is_watched() {
        let now = Instant::now();
        let mut list = Watchlist::new(ME, SILENCE);
        list.heard(OTHER, now);
        assert_eq!(list.next_due(), Some(now + SILENCE + SLACK));
    }

    #[tokio::test]
    async fn a_worker_that_holds_nothing_is_forgotten_once_its_last_sign_of_life_is_old() {
        let now = Instant::now();
        let mut list = Watchlist::new(ME, SILENCE);
        list.heard(OTHER, now);
        list.learn(&[], now + SILENCE);
        assert_eq!(list.next_due(), Some(now + SILENCE + SLACK));

        list.learn(&[], now + SILENCE + SLACK);
        assert_eq!(list.next_due(), None);
    }

    #[tokio::test]
    async fn an_overdue_worker_that_was_spared_is_looked_at_soon() {
        let now = Instant::now();
        let mut list = Watchlist::new(ME, SILENCE);
        list.heard(OTHER, now - SILENCE);
        list.learn(&[(OTHER, Duration::ZERO)], now + SLACK);
        assert_eq!(list.next_due(), Some(now + SLACK + RETRY));
    }

    #[tokio::test]
    async fn a_sign_of_life_during_the_question_counts() {
        let now = Instant::now();
        let mut list = Watchlist::new(ME, SILENCE);
        list.heard(OTHER, now);
        list.learn(&[(OTHER, Duration::ZERO)], now);
        assert_eq!(list.next_due(), Some(now + SILENCE + SLACK));
    }

    #[tokio::test]
    async fn nobody_watches_itself() {
        let mut list = Watchlist::new(ME, SILENCE);
        list.heard(ME, Instant::now());
        list.learn(&[(ME, Duration::ZERO)], Instant::now());
        assert_eq!(list.next_due(), None);
    }
}
