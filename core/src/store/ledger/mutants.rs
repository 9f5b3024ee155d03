//! Ledgers that are broken on purpose; see [`Mutant`].

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::sync::oneshot;

use super::jobs::{PATIENCE, accept_each};
use super::readmit_after;
use super::{ANSWER_LIMIT, Ledger};
use crate::config::Mutant;
use crate::domain::{Change, Lease, NewJob, Settlement};
use crate::store::{Acceptance, StoreError, isolate};

/// How long a job that was answered for stays uncommitted.
const LATE: Duration = Duration::from_millis(200);

/// The settlements as a ledger that does not look at the attempt, or at the
/// state, would take them: either is made to fit.
pub(super) async fn settlements(
    connection: &mut PgConnection,
    mut settlements: Vec<Settlement>,
) -> Result<Vec<Settlement>, StoreError> {
    for settlement in &mut settlements {
        let Lease { job_id, attempt } = settlement.lease;
        if Mutant::NoFence.is_on() {
            settlement.lease = isolate::read(&mut *connection, job_id).await?.lease;
        }
        if Mutant::SettleWithoutState.is_on() {
            sqlx::query(
                "UPDATE jobs
                 SET state = 'running', lease_expires_at = ledger_now(), finished_at = NULL,
                     result = NULL, held_by_key = false
                 WHERE id = $1 AND attempt = $2 AND state <> 'running'",
            )
            .bind(job_id.0)
            .bind(attempt)
            .execute(&mut *connection)
            .await?;
        }
    }
    Ok(settlements)
}

/// Accepts jobs and commits them later, if all goes well.
pub(super) async fn accept(
    ledger: &Ledger,
    new: Vec<NewJob>,
) -> Result<(Vec<Acceptance>, Change), StoreError> {
    let (answer, answered) = oneshot::channel();
    let connections = ledger.connections.clone();
    ledger.transactions.spawn(async move {
        connections
            .run(ANSWER_LIMIT, async |connection| {
                let mut transaction = connection.begin().await?;
                let (answers, change) = accept_each(&mut transaction, &new, PATIENCE).await?;
                let change = readmit_after(&mut transaction, change).await?;
                // Whoever asked may have gone.
                let _ = answer.send((answers, change));
                tokio::time::sleep(LATE).await;
                Ok(transaction.commit().await?)
            })
            .await
    });
    answered.await.map_err(|_| StoreError::Abandoned)
}
