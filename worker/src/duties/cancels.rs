//! Passing requests to stop a job on to its attempt.

use jetlane_core::causes;
use jetlane_core::messaging::Messaging;
use tokio_util::sync::CancellationToken;

use crate::leases::Leases;

/// Stops attempts whose end is asked for, until `stop`. A request that is
/// missed, since NATS was away or the attempt had not started, comes with the
/// next renewal.
pub(super) async fn pass_on_cancels(messaging: Messaging, leases: Leases, stop: CancellationToken) {
    stop.run_until_cancelled(pass_on(&messaging, &leases)).await;
}

async fn pass_on(messaging: &Messaging, leases: &Leases) {
    let mut requests = match messaging.cancel_requests().await {
        Ok(requests) => requests,
        Err(error) => {
            let error = anyhow::Error::new(error);
            tracing::error!(error = causes(&error), "cannot hear of cancels");
            return;
        }
    };
    while let Some(job_id) = requests.next().await {
        leases.cancel(job_id);
    }
}
