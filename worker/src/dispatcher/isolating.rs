//! Making room for a job that is to run alone, and running it.

use jetlane_core::store::{Isolated, Sight};
use tokio::time::{Instant, timeout};

use super::{CLAIM_LIMIT, Dispatcher, RATE_SLACK};

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
        if sight.any_isolated
            && self.isolating.is_none()
            && self.reserve_isolated(lane).await == Some(true)
        {
            tracing::info!(lane = %self.settings.lanes[lane], "making room for a job that runs alone");
            self.isolating = Some(Isolating::MakingRoom(lane));
            if !self.slots.all_free() {
                // Whoever runs nothing need not make room first.
                self.ring_others(lane).await;
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

    async fn reserve_isolated(&mut self, lane: usize) -> Option<bool> {
        let name = &self.settings.lanes[lane];
        let reserved = self.bench.ledger.reserve_isolated(name, self.settings.worker);
        let reserved = timeout(CLAIM_LIMIT, reserved).await;
        self.checked(lane, reserved)
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
            Some(Isolated::Claimed(claims)) => {
                self.isolating = Some(Isolating::Alone(lane));
                self.start(*claims, sent).await;
            }
            Some(Isolated::NotBefore(wait)) => {
                self.next_start[lane] = Some(Instant::now() + wait + RATE_SLACK);
            }
            Some(Isolated::Gone) => self.stop_isolating(),
            None => {}
        }
    }
}
