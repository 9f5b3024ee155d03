//! What the worker holds: the table of its attempts' leases.
//!
//! The dispatcher and the attempts put leases in and take them out; the
//! [`keeper`] renews them, and stops attempts whose lease is gone.

mod keeper;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[cfg(jetlane_mutants)]
use jetlane_core::config::Mutant;
use jetlane_core::domain::{JobId, Lease};
use jetlane_core::store::{Held, Renewed};
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) use keeper::{Keeper, KeeperHandle, PERIOD};

/// An unconfirmed lease is given up so long before its end, at most.
const LONGEST_MARGIN: Duration = Duration::from_secs(5);

/// Why an attempt has to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody asked for the job's end.
    CancelRequested,
    /// The job was taken away from us.
    LeaseLost,
    /// The lease could not be renewed and is about to end: the job will be
    /// taken away from us.
    LeaseUnconfirmed,
    /// The worker stops.
    Aborted,
}

/// The leases that are held. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Leases(Arc<Table>);

#[derive(Debug)]
struct Table {
    length: Duration,
    entries: Mutex<HashMap<Lease, Entry>>,
    count: watch::Sender<usize>,
    /// When the statement that last moved our heartbeat was sent.
    heartbeat: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Entry {
    /// When the statement that last moved the lease was sent: the lease runs
    /// at least so long from there, whatever the clocks say.
    confirmed: Instant,
    progress: watch::Receiver<Option<f32>>,
    stop: watch::Sender<Option<Stop>>,
}

/// A lease that is renewed until this is dropped.
#[derive(Debug)]
pub(crate) struct HeldLease {
    leases: Leases,
    lease: Lease,
    stop: watch::Receiver<Option<Stop>>,
}

impl Leases {
    /// Nothing is held. Each claim and each renewal holds for `length`.
    pub(crate) fn new(length: Duration) -> Self {
        let (count, _) = watch::channel(0);
        Self(Arc::new(Table {
            length,
            entries: Mutex::default(),
            count,
            heartbeat: Mutex::default(),
        }))
    }

    /// How long a claim and a renewal hold.
    pub(crate) fn length(&self) -> Duration {
        self.0.length
    }

    /// Holds a lease that a claim sent at `sent` has given.
    pub(crate) fn hold(
        &self,
        lease: Lease,
        sent: Instant,
        progress: watch::Receiver<Option<f32>>,
    ) -> HeldLease {
        let (stop, stopped) = watch::channel(None);
        let mut entries = self.entries();
        entries.insert(lease, Entry { confirmed: sent, progress, stop });
        self.0.count.send_replace(entries.len());
        HeldLease { leases: self.clone(), lease, stop: stopped }
    }

    /// Whether anything is held.
    pub(crate) fn any_held(&self) -> bool {
        *self.0.count.borrow() > 0
    }

    /// The ledger has our heartbeat, by a statement that was sent at `sent`.
    pub(crate) fn note_heartbeat(&self, sent: Instant) {
        *self.0.heartbeat.lock().unwrap_or_else(PoisonError::into_inner) = Some(sent);
    }

    /// Whether something is held and others may think that we are dead: the
    /// ledger has not had our heartbeat for `age`.
    pub(crate) fn seems_dead_after(&self, age: Duration) -> bool {
        let heartbeat = *self.0.heartbeat.lock().unwrap_or_else(PoisonError::into_inner);
        self.any_held() && heartbeat.is_none_or(|sent| sent.elapsed() >= age)
    }

    /// Waits until something is held.
    async fn until_held(&self) {
        // The sender is ours: it cannot be gone.
        let _ = self.0.count.subscribe().wait_for(|count| *count > 0).await;
    }

    /// All that is held, each with its latest progress.
    fn held(&self) -> Vec<Held> {
        self.entries()
            .iter()
            .map(|(lease, entry)| Held { lease: *lease, progress: *entry.progress.borrow() })
            .collect()
    }

    /// Takes note of the answer to a renewal of `asked` that was sent at `sent`.
    fn confirm(&self, sent: Instant, asked: &[Held], renewed: &[Renewed]) {
        self.note_heartbeat(sent);
        let renewed: HashMap<_, _> =
            renewed.iter().map(|renewed| (renewed.lease, renewed.is_cancel_requested)).collect();
        let mut entries = self.entries();
        for Held { lease, .. } in asked {
            // One that was settled meanwhile is not here any more.
            let Some(entry) = entries.get_mut(lease) else { continue };
            match renewed.get(lease) {
                #[cfg(jetlane_mutants)]
                None if Mutant::NoFence.is_on() => {}
                None => entry.stop(Stop::LeaseLost),
                Some(is_cancel_requested) => {
                    entry.confirmed = sent;
                    if *is_cancel_requested {
                        entry.stop(Stop::CancelRequested);
                    }
                }
            }
        }
    }

    /// Stops the attempts whose lease has not been confirmed for too long.
    fn fence(&self, now: Instant) {
        #[cfg(jetlane_mutants)]
        if Mutant::NoFence.is_on() {
            return;
        }
        let margin = (self.0.length / 6).min(LONGEST_MARGIN);
        for entry in self.entries().values() {
            if now.duration_since(entry.confirmed) + margin >= self.0.length {
                entry.stop(Stop::LeaseUnconfirmed);
            }
        }
    }

    /// Stops the attempt at this job, if it is ours.
    pub(crate) fn cancel(&self, job_id: JobId) {
        for (lease, entry) in self.entries().iter() {
            if lease.job_id == job_id {
                entry.stop(Stop::CancelRequested);
            }
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Lease, Entry>> {
        // No statement under the lock leaves the table half changed.
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// The first reason counts.
    fn stop(&self, reason: Stop) {
        self.stop.send_if_modified(|stop| {
            let is_first = stop.is_none();
            *stop = stop.or(Some(reason));
            is_first
        });
    }
}

impl HeldLease {
    /// Waits until the attempt has to stop.
    pub(crate) async fn stopped(&mut self) -> Stop {
        match self.stop.wait_for(Option::is_some).await {
            Ok(stop) => stop.unwrap_or(Stop::LeaseLost),
            Err(_) => Stop::LeaseLost,
        }
    }

    /// When the lease ends unless it is renewed once more.
    pub(crate) fn end(&self) -> Instant {
        let confirmed = self.leases.entries().get(&self.lease).map(|entry| entry.confirmed);
        confirmed.map_or_else(Instant::now, |confirmed| confirmed + self.leases.length())
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        let mut entries = self.leases.entries();
        entries.remove(&self.lease);
        self.leases.0.count.send_replace(entries.len());
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const LENGTH: Duration = Duration::from_secs(30);

    fn lease(id: u128) -> Lease {
        Lease { job_id: JobId(Uuid::from_u128(id)), attempt: 1 }
    }

    fn given_one_held(at: Instant) -> (Leases, HeldLease) {
        let leases = Leases::new(LENGTH);
        let held = leases.hold(lease(1), at, watch::channel(Some(0.5)).1);
        (leases, held)
    }

    #[tokio::test]
    async fn what_is_held_is_renewed_until_it_is_dropped() {
        let (leases, held) = given_one_held(Instant::now());
        assert_eq!(leases.held(), [Held { lease: lease(1), progress: Some(0.5) }]);
        leases.until_held().await;

        drop(held);

        assert!(!leases.any_held());
        assert_eq!(leases.held(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn who_holds_something_seems_dead_without_a_heartbeat() {
        const AGE: Duration = Duration::from_secs(3);

        let (leases, held) = given_one_held(Instant::now());
        assert!(leases.seems_dead_after(AGE));

        leases.confirm(Instant::now(), &leases.held(), &[]);
        assert!(!leases.seems_dead_after(AGE));

        tokio::time::advance(AGE).await;
        assert!(leases.seems_dead_after(AGE));

        drop(held);
        assert!(!leases.seems_dead_after(AGE));
    }

    #[tokio::test]
    async fn what_does_not_come_back_was_taken_away() {
        let (leases, mut held) = given_one_held(Instant::now());
        leases.confirm(Instant::now(), &leases.held(), &[]);
        assert_eq!(held.stopped().await, Stop::LeaseLost);
    }

    #[tokio::test]
    async fn what_was_claimed_after_the_question_is_not_missed_in_the_answer() {
        let (leases, held) = given_one_held(Instant::now());
        leases.confirm(Instant::now(), &[], &[]);
        assert_eq!(*held.stop.borrow(), None);
    }

    #[tokio::test]
    async fn a_renewal_tells_of_a_cancel() {
        let (leases, mut held) = given_one_held(Instant::now());
        let renewed = Renewed { lease: lease(1), is_cancel_requested: true };
        leases.confirm(Instant::now(), &leases.held(), &[renewed]);
        assert_eq!(held.stopped().await, Stop::CancelRequested);
    }

    #[tokio::test]
    async fn the_first_reason_to_stop_counts() {
        let (leases, mut held) = given_one_held(Instant::now());
        leases.cancel(lease(1).job_id);
        leases.confirm(Instant::now(), &leases.held(), &[]);
        assert_eq!(held.stopped().await, Stop::CancelRequested);
    }

    #[tokio::test]
    async fn an_attempt_is_stopped_before_its_unconfirmed_lease_ends() {
        let start = Instant::now();
        let (leases, held) = given_one_held(start);

        leases.fence(start + Duration::from_secs(24));
        assert_eq!(*held.stop.borrow(), None);

        leases.fence(start + Duration::from_secs(25));
        assert_eq!(*held.stop.borrow(), Some(Stop::LeaseUnconfirmed));
    }

    #[tokio::test]
    async fn a_renewal_counts_from_when_it_was_sent() {
        let start = Instant::now();
        let (leases, held) = given_one_held(start);
        let sent = start + Duration::from_secs(10);
        let renewed = Renewed { lease: lease(1), is_cancel_requested: false };

        leases.confirm(sent, &leases.held(), &[renewed]);

        assert_eq!(held.end(), sent + LENGTH);
        leases.fence(start + Duration::from_secs(34));
        assert_eq!(*held.stop.borrow(), None);
    }
}
