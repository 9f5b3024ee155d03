//! Asking a server that starts until it is ready.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a server may take to get ready; PostgreSQL may have to recover from a crash.
pub(crate) const START: Duration = Duration::from_mins(1);

/// How often a starting server is asked.
const POLL: Duration = Duration::from_millis(20);

/// Whether `probe` succeeded in time.
pub(crate) async fn until_ready<F>(probe: impl Fn() -> F) -> bool
where
    F: Future<Output = anyhow::Result<()>>,
{
    let deadline = Instant::now() + START;
    while probe().await.is_err() {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(POLL).await;
    }
    true
}
