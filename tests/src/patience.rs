//! Waiting for what must come, without guessing how long it takes.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Far longer than anything takes that is not itself about time.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What "at once" means on a machine with much else to do: far less than a
/// sweep, far more than a wake-up.
pub const PROMPT: Duration = Duration::from_secs(2);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(15);

/// Asks `probe` until it has an answer, for `limit` at most.
///
/// # Panics
///
/// With `what` if there was none by then.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        sleep(POLL).await;
    }
}
