//! Making the streams whenever NATS is there: it may have been wiped.

use jetlane_core::causes;
use jetlane_core::messaging::Messaging;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::backoff::Pauses;

/// Declares the streams each time the link comes up, until `stop`.
pub(crate) async fn declare_streams(messaging: Messaging, stop: CancellationToken) {
    // Boxed: what the client needs to declare a stream is large.
    stop.run_until_cancelled(Box::pin(declare(&messaging))).await;
}

async fn declare(messaging: &Messaging) {
    let mut link = messaging.link();
    let mut declared = 0;
    let mut pauses = Pauses::new();
    while let Ok(generation) = link
        .wait_for(|link| link.is_up && link.generation != declared)
        .await
        .map(|link| link.generation)
    {
        match messaging.declare_streams().await {
            Ok(()) => {
                declared = generation;
                pauses.reset();
            }
            Err(error) => {
                let error = anyhow::Error::new(error);
                tracing::warn!(error = causes(&error), "cannot declare the streams");
                sleep(pauses.next()).await;
            }
        }
    }
}
