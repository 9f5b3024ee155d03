//! Making room for a job that is to run alone, and running it.

use std::time::Duration;

use jetlane_core::causes;
use jetlane_core::store::Sight;
use tokio::time::{Instant, timeout};

use super::{CLAIM_LIMIT, Dispatcher};

/// How long the ledger may take to note that others may have a job. They look
/// for it themselves once this worker is gone.
const GIVE_UP_LIMIT: Duration = Duration::from_secs(2);

/// How far a job has come that is to run alone, and its lane.
#[derive(Clone, Copy, Debug)]
pub(super) enum Isolating {
    /// It is reserved, and waits for the attempts that still run here.
    MakingRoom(usize),
    /// It runs.
    Alone(usize),
}

impl Dispatcher {
    /// Begins to make room for a job that is to run alone, unless another
    /// worker does.
    pub(super) async fn note_isolated(&mut self, lane: usize, sight: &Sight) {
        // Whoever runs nothing takes it over from one that makes room.
        let is_idle = self.slots.all_free();
        self.may_take_over[lane] = sight.any_reserved && !is_idle;
        let any_for_us = sight.any_isolated || sight.any_reserved && is_idle;
        if any_for_us && self.isolating.is_none() && self.reserve_isolated(lane).await == Some(true)
        {
            tracing::info!(lane = %self.settings.lanes[lane], "making room for a job that runs alone");
            self.isolating = Some(Isolating::MakingRoom(lane));
            if !self.slots.all_free() {
                // Whoever runs nothing need not make room first.
                self.ring_others(lane).await;
            }
        }
    }

    /// Looks again at lanes that had something for whoever runs nothing. A freed slot alone
    /// is no reason to.
    pub(super) fn look_where_to_take_over(&mut self) {
        for (lane, may_take_over) in self.may_take_over.iter_mut().enumerate() {
            if std::mem::take(may_take_over) {
                self.board.look(lane);
            }
        }
    }

    /// Goes on with the job that is to run alone: claims it once there is room.
    /// Until then it may have been cancelled, or taken over by a worker that
    /// has room already: that is asked again each time.
    pub(super) async fn isolate(&mut self, isolating: Isolating) {
        match isolating {
            Isolating::MakingRoom(lane) | Isolating::Alone(lane) if self.slots.all_free() => {
                self.claim_isolated(lane).await;
            }
            Isolating::MakingRoom(lane) => {
                if self.reserve_isolated(lane).await == Some(false) {
                    self.stop_isolating();
                }
            }
            Isolating::Alone(_) => {}
        }
    }

    /// Leaves to others what it may have reserved and makes no room for any
    /// more, as in a lane that was paused, or because this worker drains.
    pub(super) async fn give_up_isolated(&mut self) {
        if !self.has_reserved {
            return;
        }
        let given_up = self.bench.ledger.give_up_isolated(self.settings.worker);
        let error = match timeout(GIVE_UP_LIMIT, given_up).await {
            Ok(Ok(change)) => {
                self.has_reserved = false;
                return self.bench.announcer.announce(change).await;
            }
            Ok(Err(error)) => anyhow::Error::new(error),
            Err(elapsed) => anyhow::Error::new(elapsed),
        };
        tracing::warn!(error = causes(&error), "cannot leave a job to others that runs alone");
        self.bench.announcer.leave_unknown();
    }

    async fn reserve_isolated(&mut self, lane: usize) -> Option<bool> {
        // Also if no answer comes.
        let had_reserved = std::mem::replace(&mut self.has_reserved, true);
        let name = &self.settings.lanes[lane];
        let reserved = self.bench.ledger.reserve_isolated(name, self.settings.worker);
        let reserved = timeout(CLAIM_LIMIT, reserved).await;
        let reserved = self.checked(lane, reserved);
        if reserved == Some(false) {
            self.has_reserved = had_reserved;
        }
        reserved
    }

    /// All goes on as before.
    fn stop_isolating(&mut self) {
        self.isolating = None;
        self.board.look_everywhere();
    }

    /// Claims the reserved job, now that nothing else runs here.
    async fn claim_isolated(&mut self, lane: usize) {
        let sent = Instant::now();
        let Some(gpu_id) = self.slots.free().first().copied() else { return };
        let claim = self.bench.ledger.claim_isolated(
            &self.settings.lanes[lane],
            self.settings.worker,
            gpu_id,
            self.bench.leases.length(),
        );
        let claimed = timeout(CLAIM_LIMIT, claim).await;
        match self.checked(lane, claimed) {
            Some(Some(claims)) => {
                self.isolating = Some(Isolating::Alone(lane));
                self.has_reserved = false;
                self.start(claims, sent).await;
            }
            Some(None) => self.stop_isolating(),
            None => {}
        }
    }
}
