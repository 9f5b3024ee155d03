//! Accepting single jobs, those of many requests by one statement.

use std::sync::Arc;

use jetlane_core::batch::{Batcher, Batches, Limits, NoAnswer, batches};
use jetlane_core::domain::NewJob;
use jetlane_core::outbox::Announcer;
use jetlane_core::store::{Acceptance, Ledger, StoreError};

use crate::app::App;
use crate::metrics::ApiMetrics;
use crate::problem::ApiError;

/// More requests than that are told to come back: none of them would be answered in time.
const LIMITS: Limits = Limits { waiting: 2_000, batch: 200, under_way: 3 };

/// How single jobs are accepted.
#[derive(Clone, Debug)]
pub enum Accepting {
    /// With those of other requests that come meanwhile.
    Together(Batches<NewJob, Result<Acceptance, StoreError>>),
    /// For itself: there is only one request at a time.
    Alone,
}

/// What accepts jobs together, and must run beside the requests.
#[derive(Debug)]
pub(crate) struct Acceptor {
    batcher: Batcher<NewJob, Result<Acceptance, StoreError>>,
    desk: Desk,
}

/// Where jobs go.
#[derive(Debug)]
struct Desk {
    ledger: Ledger,
    announcer: Announcer,
    metrics: ApiMetrics,
}

impl Acceptor {
    /// An acceptor, and where to hand in jobs.
    pub(crate) fn new(
        ledger: Ledger,
        announcer: Announcer,
        metrics: ApiMetrics,
    ) -> (Accepting, Self) {
        let (accepting, batcher) = batches(LIMITS);
        let desk = Desk { ledger, announcer, metrics };
        (Accepting::Together(accepting), Self { batcher, desk })
    }

    /// Runs until nobody can hand in anything any more.
    pub(crate) async fn run(self) {
        let desk = Arc::new(self.desk);
        let accept = move |new| {
            let desk = Arc::clone(&desk);
            async move { desk.accept(new).await }
        };
        self.batcher.run(accept).await;
    }
}

impl Desk {
    async fn accept(&self, new: Vec<NewJob>) -> Vec<Result<Acceptance, StoreError>> {
        let count = new.len();
        match self.ledger.accept(new).await {
            Ok((answers, change)) => {
                self.metrics.note_accepted(&answers);
                self.announcer.announce(change).await;
                answers.into_iter().map(Ok).collect()
            }
            Err(error) => error.for_each_of(count).into_iter().map(Err).collect(),
        }
    }
}

impl App {
    /// Accepts a job, to its end even if the client hangs up meanwhile.
    ///
    /// # Errors
    ///
    /// Those of the ledger, after which it may or may not have been accepted.
    pub(crate) async fn accept(&self, new: NewJob) -> Result<Acceptance, ApiError> {
        match &self.accepting {
            // With a key it may have to wait for another, and others would with it.
            Accepting::Together(batches)
                if new.idempotency.is_none() && new.concurrency_key.is_none() =>
            {
                Ok(batches.ask(new).await??)
            }
            _ => self.accept_alone(new).await,
        }
    }

    async fn accept_alone(&self, new: NewJob) -> Result<Acceptance, ApiError> {
        let app = self.clone();
        self.whole(async move {
            let (mut answers, change) = app.ledger.accept(vec![new]).await?;
            app.metrics.note_accepted(&answers);
            app.announce(change).await;
            answers
                .pop()
                .ok_or_else(|| ApiError::Internal(anyhow::anyhow!("a job without an answer")))
        })
        .await
    }
}

impl From<NoAnswer> for ApiError {
    fn from(error: NoAnswer) -> Self {
        match error {
            NoAnswer::Full => Self::Unavailable(error.into()),
            NoAnswer::GivenUp => Self::Internal(error.into()),
        }
    }
}
