//! What is done to jobs on behalf of those who submit them.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;

#[cfg(jetlane_mutants)]
use super::mutants;
use super::{Ledger, readmit_after, readmit_one};
use crate::causes;
#[cfg(jetlane_mutants)]
use crate::config::Mutant;
use crate::domain::{Change, Job, JobId, JobPatch, JobState, NewJob, TenantName};
use crate::store::accept::Written;
use crate::store::{
    Acceptance, Cancelled, DeadFilter, Deleted, JobFilter, Refused, StoreError, Updated, accept,
    cancel, delete, find, keys, list, redrive, repeats, update,
};

/// How long a job waits for another with the same idempotency key.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The same once its batch has waited already.
const IMPATIENCE: Duration = Duration::from_millis(50);

/// After so many keys that are in use, a batch tries no other: whoever sent it
/// twice at once is told soon.
const MOST_IN_USE: usize = 20;

impl Ledger {
    /// Accepts jobs, each for itself: those that come back as accepted are
    /// never lost. The answers are in the order of the jobs.
    ///
    /// # Errors
    ///
    /// As all: [`StoreError::Database`] leaves unknown whether they were
    /// accepted; those with an idempotency key may be offered again.
    pub async fn accept(&self, new: Vec<NewJob>) -> Result<(Vec<Acceptance>, Change), StoreError> {
        #[cfg(jetlane_mutants)]
        if Mutant::AckBeforeCommit.is_on() {
            return mutants::accept(self, new).await;
        }
        let new = Arc::new(new);
        match self.accept_together(&new, PATIENCE).await {
            Err(error) if new.len() > 1 && is_of_one(&error) => self.accept_one_by_one(&new).await,
            Err(StoreError::KeyInUse) => {
                Ok((vec![Acceptance::Refused(Refused::KeyInUse)], Change::default()))
            }
            accepted => accepted,
        }
    }

    async fn accept_together(
        &self,
        new: &Arc<Vec<NewJob>>,
        patience: Duration,
    ) -> Result<(Vec<Acceptance>, Change), StoreError> {
        if new.iter().all(|job| job.concurrency_key.is_none()) {
            return self.run(async |connection| accept_each(connection, new, patience).await).await;
        }
        let new = Arc::clone(new);
        self.transact(move |connection| {
            Box::pin(async move {
                let (answers, change) = accept_each(&mut *connection, &new, patience).await?;
                Ok((answers, readmit_after(connection, change).await?))
            })
        })
        .await
    }

    /// Accepts jobs of which some have a key that is in use, or hold what the
    /// ledger does not take: no other is refused for their sake.
    async fn accept_one_by_one(
        &self,
        new: &[NewJob],
    ) -> Result<(Vec<Acceptance>, Change), StoreError> {
        let mut answers = Vec::with_capacity(new.len());
        let mut change = Change::default();
        let mut in_use = 0;
        for job in new {
            let is_hopeless = in_use >= MOST_IN_USE && job.idempotency.is_some();
            let accepted = if is_hopeless {
                Err(StoreError::KeyInUse)
            } else {
                self.accept_together(&Arc::new(vec![job.clone()]), IMPATIENCE).await
            };
            match accepted {
                Ok((answer, more)) => {
                    answers.extend(answer);
                    change.extend(more.unsent);
                }
                Err(StoreError::KeyInUse) => {
                    in_use += 1;
                    answers.push(Acceptance::Refused(Refused::KeyInUse));
                }
                Err(error) if error.is_refusal() => {
                    let error = anyhow::Error::new(error);
                    tracing::error!(error = causes(&error), "the ledger does not take a job");
                    answers.push(Acceptance::Refused(Refused::Untakable));
                }
                Err(error) if change.unsent.is_empty() => return Err(error),
                // What was accepted is told of, whatever becomes of the others.
                Err(error) => {
                    tracing::warn!(%error, "a batch was accepted in part");
                    let left = new.len() - answers.len();
                    let lost = || Acceptance::Refused(Refused::Unavailable);
                    answers.extend(std::iter::repeat_with(lost).take(left));
                    break;
                }
            }
        }
        Ok((answers, change))
    }

    /// Accepts all of these jobs or none. The answers are in their order.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotAll`] with the answers if some were refused, or
    /// [`StoreError::KeyInUse`], and then nothing was written; else as [`Self::accept`].
    pub async fn accept_all(
        &self,
        new: Vec<NewJob>,
    ) -> Result<(Vec<Acceptance>, Change), StoreError> {
        self.transact(move |connection| {
            Box::pin(async move {
                let (mut answers, change) = accept_each(&mut *connection, &new, PATIENCE).await?;
                if answers.iter().any(|answer| matches!(answer, Acceptance::Refused(_))) {
                    for answer in &mut answers {
                        if matches!(answer, Acceptance::Accepted(_)) {
                            *answer = Acceptance::Refused(Refused::WithTheOthers);
                        }
                    }
                    return Err(StoreError::NotAll(answers));
                }
                Ok((answers, readmit_after(connection, change).await?))
            })
        })
        .await
    }

    /// Cancels a waiting job, or marks a running one for its worker to stop.
    ///
    /// # Errors
    ///
    /// As all; asking again does no harm.
    pub async fn cancel(&self, tenant: &TenantName, id: JobId) -> Result<Cancelled, StoreError> {
        let owner = tenant.clone();
        let change = self
            .transact(move |connection| {
                Box::pin(async move {
                    let key = keys::key_of(&mut *connection, &owner, id).await?;
                    let change = cancel::cancel(&mut *connection, &owner, id).await?;
                    // One that runs keeps its key until it has stopped.
                    let key = key.filter(|_| change.events().any(|event| event.state.is_final()));
                    readmit_one(connection, key, change).await
                })
            })
            .await?;
        if change.events().next().is_some() {
            return Ok(Cancelled::Accepted(change));
        }
        Ok(match self.find(tenant, id).await? {
            None => Cancelled::NotFound,
            Some(job) => match job.state {
                JobState::Completed | JobState::Failed => Cancelled::Final(job.state),
                JobState::Scheduled
                | JobState::Queued
                | JobState::Running
                | JobState::Cancelled => Cancelled::Already,
            },
        })
    }

    /// Changes a waiting job. An empty patch writes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownLane`], and then nothing was written; else see above.
    pub async fn update(
        &self,
        tenant: &TenantName,
        id: JobId,
        patch: JobPatch,
    ) -> Result<Updated, StoreError> {
        if patch.is_empty() {
            let is_there = self.find(tenant, id).await?.is_some();
            return Ok(if is_there { Updated::Done(Change::default()) } else { Updated::NotFound });
        }
        let owner = tenant.clone();
        let change = self
            .transact(move |connection| {
                Box::pin(async move {
                    let key = keys::key_of(&mut *connection, &owner, id).await?;
                    let change = update::update(&mut *connection, &owner, id, patch).await?;
                    readmit_one(connection, key, change).await
                })
            })
            .await?;
        if change.events().next().is_some() {
            return Ok(Updated::Done(change));
        }
        Ok(match self.find(tenant, id).await? {
            None => Updated::NotFound,
            Some(job) => Updated::TooLate(job.state),
        })
    }

    /// Removes a job that does not run. Its events stay.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn delete(&self, tenant: &TenantName, id: JobId) -> Result<Deleted, StoreError> {
        let owner = tenant.clone();
        let change = self
            .transact(move |connection| {
                Box::pin(async move {
                    let key = keys::key_of(&mut *connection, &owner, id).await?;
                    let change = delete::delete(&mut *connection, &owner, id).await?;
                    readmit_one(connection, key, change).await
                })
            })
            .await?;
        if change.events().next().is_some() {
            return Ok(Deleted::Done(change));
        }
        Ok(match self.find(tenant, id).await? {
            None => Deleted::NotFound,
            Some(_) => Deleted::Running,
        })
    }

    /// The job, if the tenant has it.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn find(&self, tenant: &TenantName, id: JobId) -> Result<Option<Job>, StoreError> {
        self.run(async |connection| find::find(connection, tenant, id).await).await
    }

    /// A tenant's jobs, newest first, at most `limit`, only those older than `before`.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn list(
        &self,
        tenant: &TenantName,
        filter: &JobFilter,
        before: Option<JobId>,
        limit: i64,
    ) -> Result<Vec<Job>, StoreError> {
        self.run(async |connection| list::list(connection, tenant, filter, before, limit).await)
            .await
    }

    /// Which dead letters a tenant has, newest job first, at most `limit`, only
    /// those older than `before`.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn dead_letters(
        &self,
        tenant: &TenantName,
        filter: &DeadFilter,
        before: Option<JobId>,
        limit: i64,
    ) -> Result<Vec<JobId>, StoreError> {
        self.run(async |connection| redrive::find(connection, tenant, filter, before, limit).await)
            .await
    }

    /// Those of the jobs that the tenant has, newest first.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn find_each(
        &self,
        tenant: &TenantName,
        ids: &[JobId],
    ) -> Result<Vec<Job>, StoreError> {
        self.run(async |connection| find::find_each(connection, tenant, ids).await).await
    }

    /// Gives dead letters another chance. The change tells which they were.
    ///
    /// # Errors
    ///
    /// As all; asking again does no harm.
    pub async fn redrive(
        &self,
        tenant: &TenantName,
        ids: Vec<JobId>,
    ) -> Result<Change, StoreError> {
        let owner = tenant.clone();
        self.transact(move |connection| {
            Box::pin(async move {
                let change = redrive::redrive(&mut *connection, &owner, &ids).await?;
                readmit_after(connection, change).await
            })
        })
        .await
    }

    /// Removes dead letters for good. The change tells which they were.
    ///
    /// # Errors
    ///
    /// As all; asking again does no harm.
    pub async fn purge(&self, tenant: &TenantName, ids: &[JobId]) -> Result<Change, StoreError> {
        self.run(async |connection| redrive::purge(connection, tenant, ids).await).await
    }
}

/// Whether it is the fault of one job that others were not accepted with it.
fn is_of_one(error: &StoreError) -> bool {
    matches!(error, StoreError::KeyInUse) || error.is_refusal()
}

/// Writes jobs, and finds out why some were not written.
pub(super) async fn accept_each(
    connection: &mut PgConnection,
    new: &[NewJob],
    patience: Duration,
) -> Result<(Vec<Acceptance>, Change), StoreError> {
    let Written { jobs, change } = accept::accept(&mut *connection, new, patience).await?;
    let left_out: Vec<_> =
        new.iter().zip(&jobs).filter(|(_, job)| job.is_none()).map(|(new, _)| new).collect();
    let mut reasons = if left_out.is_empty() {
        Vec::new()
    } else {
        repeats::explain(connection, &left_out).await?
    }
    .into_iter();
    let answers = jobs
        .into_iter()
        .filter_map(|job| match job {
            Some(job) => Some(Acceptance::Accepted(Box::new(job))),
            None => reasons.next(),
        })
        .collect();
    Ok((answers, change))
}
