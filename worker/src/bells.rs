//! Hearing a lane's doorbells for the dispatcher.

use jetlane_core::causes;
use jetlane_core::domain::LaneName;
use jetlane_core::messaging::{Bell, Bells, Messaging, MessagingError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use crate::backoff::Pauses;
use crate::board::Verdict;
use crate::metrics::Metrics;

/// Bells were heard: what is to become of them?
#[derive(Debug)]
pub(crate) struct Call {
    /// The place of their lane.
    pub(crate) lane: usize,
    /// Takes the verdict. Dropped without one, the bells are given back.
    pub(crate) verdict: oneshot::Sender<Verdict>,
}

/// Listens to the bells of one lane.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The place of the lane.
    pub(crate) place: usize,
    /// Its name.
    pub(crate) lane: LaneName,
    /// Whence the bells.
    pub(crate) messaging: Messaging,
    /// Whether the dispatcher has room, and nothing but a bell can tell it of
    /// work in this lane.
    pub(crate) is_wanted: watch::Receiver<bool>,
    /// The dispatcher.
    pub(crate) calls: mpsc::Sender<Call>,
    /// What is counted.
    pub(crate) metrics: Metrics,
}

impl Listener {
    /// Listens until the dispatcher has ended. Whoever drains hears no bell
    /// that another worker could.
    pub(crate) async fn run(mut self) {
        let mut link = self.messaging.link();
        let mut pauses = Pauses::new();
        loop {
            let generation = tokio::select! {
                up = link.wait_for(|link| link.is_up) => up.map(|up| up.generation),
                () = dismissed(self.is_wanted.clone()) => return,
            };
            let Ok(generation) = generation else {
                return;
            };
            let attended = tokio::select! {
                attended = self.attend(&mut pauses) => attended,
                // What was asked over the old connection nobody answers.
                _ = link.wait_for(|link| link.generation != generation) => continue,
            };
            let Err(error) = attended else {
                return;
            };
            let error = anyhow::Error::new(error);
            tracing::debug!(error = causes(&error), lane = %self.lane, "cannot hear bells");
            sleep(pauses.next()).await;
        }
    }

    /// Hears bells while they are wanted, until the dispatcher has ended.
    async fn attend(&mut self, pauses: &mut Pauses) -> Result<(), MessagingError> {
        let mut bells = Bells::new(self.messaging.clone(), self.lane.clone());
        loop {
            let dismissed = dismissed(self.is_wanted.clone());
            tokio::pin!(dismissed);
            tokio::select! {
                biased;
                () = &mut dismissed => return Ok(()),
                _ = self.is_wanted.wait_for(|is_wanted| *is_wanted) => {}
            }
            let heard = tokio::select! {
                heard = bells.wait() => heard?,
                () = &mut dismissed => return bells.withdraw().await,
            };
            pauses.reset();
            let Some(bell) = heard else { continue };
            // At once, before looking for more bells: a job waits.
            let verdict = self.respond(vec![bell]).await;

            // One more claim for all that rang meanwhile, not one for each.
            if verdict == Verdict::Answer && *self.is_wanted.borrow() {
                let more = bells.take_waiting().await?;
                if !more.is_empty() {
                    self.respond(more).await;
                }
            }
        }
    }

    /// Asks what is to become of the bells, and does it.
    async fn respond(&self, bells: Vec<Bell>) -> Verdict {
        let verdict = self.ask().await.unwrap_or(Verdict::GiveBack);
        let count = bells.len();
        match verdict {
            Verdict::Answer | Verdict::AnswerAndRing => {
                self.metrics.count_bells(&self.lane, "answered", count);
                for bell in bells {
                    bell.answer().await;
                }
            }
            Verdict::GiveBack => {
                self.metrics.count_bells(&self.lane, "given_back", count);
                for bell in bells {
                    bell.give_back().await;
                }
            }
        }
        if verdict == Verdict::AnswerAndRing
            && let Err(error) = self.messaging.ring(&self.lane, None).await
        {
            tracing::debug!(%error, "cannot ring once more; other workers look at their next sweep");
        }
        verdict
    }

    async fn ask(&self) -> Option<Verdict> {
        let (verdict, answer) = oneshot::channel();
        self.calls.send(Call { lane: self.place, verdict }).await.ok()?;
        answer.await.ok()
    }
}

/// Ends when the dispatcher has.
async fn dismissed(mut is_wanted: watch::Receiver<bool>) {
    while is_wanted.changed().await.is_ok() {}
}
