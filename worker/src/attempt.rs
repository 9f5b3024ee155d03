//! One attempt, from its start to its settlement.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jetlane_core::causes;
use jetlane_core::domain::{Claimed, Lease, Outcome, Settlement};
use jetlane_core::messaging::Messaging;
use jetlane_core::store::Unreadable;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use crate::leases::{HeldLease, Stop};
use crate::outcome::{Tries, outcome, unreadable};
use crate::settle::settle;
use crate::slots::Slot;
use crate::supervise::{Ended, supervise};
use crate::tools::{self, Assignment, Progress};
use crate::workbench::Workbench;

/// Output that cannot be handed over so fast is dropped.
const OUTPUT_LIMIT: Duration = Duration::from_millis(250);

/// How long a tool may take to leave once it was stopped.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// A claimed job, and what the worker holds for it.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// What is to be done.
    pub(crate) job: Claimed,
    /// Where.
    pub(crate) slot: Slot,
    /// By what right.
    pub(crate) held: HeldLease,
    /// Where the tool tells how far it is.
    pub(crate) progress: Progress,
    /// Chance.
    pub(crate) rng: StdRng,
}

impl Attempt {
    /// Runs the attempt to its end and settles it. Its slot is free afterwards.
    pub(crate) async fn run(self, bench: Arc<Workbench>) {
        let Self { job, slot, mut held, progress, mut rng } = self;
        tracing::info!(tool = %job.tool, gpu_id = job.gpu_id, "attempt started");
        let in_progress = bench.metrics.start(&job.lane, job.tool);
        let started = Instant::now();

        let told = progress.subscribe();
        let work = tools::run(
            job.tool,
            Assignment {
                params: job.params,
                gpu_id: job.gpu_id,
                attempt: job.lease.attempt,
                progress,
                rng: StdRng::seed_from_u64(rng.random()),
            },
            bench.simulate,
        );
        let stop = async {
            tokio::select! {
                stop = held.stopped() => stop,
                () = bench.abort.cancelled() => Stop::Aborted,
            }
        };
        let mut tasks = JoinSet::new();
        let ended = tokio::select! {
            ended = supervise(&mut tasks, work.in_current_span(), job.timeout, stop) => ended,
            never = publish(told, &bench.messaging, job.lease) => match never {},
        };
        let execution_time = started.elapsed();
        // The job, its key and its GPU are another's only once the tool has left.
        if timeout(LEAVE_LIMIT, tasks.shutdown()).await.is_err() {
            tracing::warn!("the tool does not stop; its attempt is settled all the same");
        }

        let tries =
            Tries { failures: job.failures, max_attempts: job.max_attempts, policy: job.retry };
        let decided = match ended {
            Ended::Finished(result) => Some(outcome(result, &tries, bench.backoff, &mut rng)),
            Ended::Stopped(stop) => after_stop(stop),
        };
        let outcome = if let Some(outcome) = decided {
            let settlement =
                Settlement { lease: job.lease, frees: job.frees, outcome, execution_time };
            settle(&bench, &held, settlement).await
        } else {
            tracing::warn!("the attempt was taken away; what it did is dropped");
            "superseded"
        };
        let execution_ms = u64::try_from(execution_time.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(outcome, execution_ms, "attempt ended");
        bench.metrics.count_attempt(&job.lane, job.tool, outcome, execution_time);

        drop(in_progress);
        drop(held);
        drop(slot);
    }
}

/// Fails a job that cannot be read: with this worker, no attempt would do better.
pub(crate) async fn refuse(job: Unreadable, held: HeldLease, bench: Arc<Workbench>) {
    let error = anyhow::Error::new(job.error);
    tracing::error!(
        error = causes(&error),
        job.id = %job.lease.job_id,
        job.attempt = job.lease.attempt,
        "cannot read a job; it fails"
    );
    let settlement = Settlement {
        lease: job.lease,
        frees: job.frees,
        outcome: unreadable(&error),
        execution_time: Duration::ZERO,
    };
    settle(&bench, &held, settlement).await;
}

/// How an attempt that was stopped leaves its job; `None` if that is no longer
/// ours to say.
fn after_stop(stop: Stop) -> Option<Outcome> {
    match stop {
        Stop::CancelRequested => Some(Outcome::Cancelled),
        Stop::Aborted | Stop::LeaseUnconfirmed => Some(Outcome::Released),
        Stop::LeaseLost => None,
    }
}

/// Publishes what the tool tells of its progress, the latest only, for whoever
/// listens. Never ends.
async fn publish(
    mut told: watch::Receiver<Option<f32>>,
    messaging: &Messaging,
    lease: Lease,
) -> Infallible {
    let mut n = 0;
    while told.changed().await.is_ok() {
        let share = *told.borrow_and_update();
        let Some(share) = share.filter(|_| messaging.is_up()) else { continue };
        n += 1;
        let sent = messaging.publish_output(lease.job_id, lease.attempt, n, share);
        if !matches!(timeout(OUTPUT_LIMIT, sent).await, Ok(Ok(_))) {
            tracing::debug!(n, "progress was not published");
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_attempt_charges_nothing() {
        assert_eq!(after_stop(Stop::CancelRequested), Some(Outcome::Cancelled));
        assert_eq!(after_stop(Stop::Aborted), Some(Outcome::Released));
        assert_eq!(after_stop(Stop::LeaseUnconfirmed), Some(Outcome::Released));
    }

    #[test]
    fn of_an_attempt_that_was_taken_away_nothing_is_told() {
        assert_eq!(after_stop(Stop::LeaseLost), None);
    }
}
