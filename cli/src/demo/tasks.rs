//! What the demo's client does beside its session: it follows, submits and
//! cancels, and tells the session by messages.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::iter;
use jetlane_core::domain::JobId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::input::DemoJob;
use super::world::Phase;
use crate::client::{Api, ClientError, Feed, FeedFilter, NewJob, Sighting};

/// How many messages may wait for the session.
const MESSAGES: usize = 1_024;

/// How many jobs of the backlog are submitted side by side.
const SIDE_BY_SIDE: usize = 16;

/// How long a lane may take to come into being after the workers' start.
const LANES_LIMIT: Duration = Duration::from_secs(20);

/// How often a lane that is not there yet is tried.
const LANES_POLL: Duration = Duration::from_millis(20);

/// A job, as it was submitted.
#[derive(Clone, Debug)]
pub(super) struct Submission {
    pub(super) name: String,
    pub(super) lane: String,
    pub(super) phase: Phase,
    /// Just before the request was sent.
    pub(super) sent_at: Instant,
    pub(super) cancel_when_running: bool,
}

/// What a task tells.
#[derive(Debug)]
pub(super) enum Message {
    /// Something came over the stream.
    Seen(Sighting),
    /// The stream is over.
    FeedEnded(ClientError),
    /// A submit was answered.
    Answered(Submission, Result<JobId, ClientError>),
    /// A cancel was not.
    CancelFailed(JobId, ClientError),
}

/// The tasks; dropping them ends them.
#[derive(Debug)]
pub(super) struct Tasks {
    api: Api,
    running: JoinSet<()>,
    sender: mpsc::Sender<Message>,
}

impl Tasks {
    /// None yet, and where their messages arrive.
    pub(super) fn new(api: Api) -> (Self, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(MESSAGES);
        (Self { api, running: JoinSet::new(), sender }, receiver)
    }

    /// Follows all events over one connection.
    pub(super) fn follow(&mut self) {
        let mut feed = Feed::new(self.api.clone(), FeedFilter::default());
        let sender = self.sender.clone();
        self.running.spawn(async move {
            loop {
                let message = match feed.next().await {
                    Ok(sighting) => Message::Seen(sighting),
                    Err(error) => Message::FeedEnded(error),
                };
                let is_over = matches!(message, Message::FeedEnded(_));
                if sender.send(message).await.is_err() || is_over {
                    return;
                }
            }
        });
    }

    /// Submits `jobs`, several side by side.
    pub(super) fn submit(&mut self, jobs: Vec<DemoJob>, phase: Phase) {
        let (api, sender) = (self.api.clone(), self.sender.clone());
        self.running.spawn(async move {
            iter(jobs)
                .for_each_concurrent(SIDE_BY_SIDE, |job| async {
                    let (submission, result) = submit(&api, job, phase).await;
                    // An error says that the session is over.
                    let _ = sender.send(Message::Answered(submission, result)).await;
                })
                .await;
        });
    }

    /// Asks for the end of a job.
    pub(super) fn cancel(&mut self, id: JobId) {
        let (api, sender) = (self.api.clone(), self.sender.clone());
        self.running.spawn(async move {
            if let Err(error) = api.cancel(id).await {
                let _ = sender.send(Message::CancelFailed(id, error)).await;
            }
        });
    }
}

async fn submit(api: &Api, job: DemoJob, phase: Phase) -> (Submission, Result<JobId, ClientError>) {
    let body = NewJob::from(&job);
    let begun = Instant::now();
    loop {
        let sent_at = Instant::now();
        let answer = api.submit(&body, None).await;
        let is_early = phase == Phase::WarmUp && begun.elapsed() < LANES_LIMIT;
        match answer {
            Err(ClientError::Refused { .. }) if is_early => sleep(LANES_POLL).await,
            answer => {
                let id = answer.and_then(|job| api.view(&job)).map(|view| view.id);
                let submission = Submission {
                    name: job.name,
                    lane: job.lane,
                    phase,
                    sent_at,
                    cancel_when_running: job.cancel_when_running,
                };
                return (submission, id);
            }
        }
    }
}
