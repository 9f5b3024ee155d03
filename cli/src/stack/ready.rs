//! Waiting until a process is ready.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::{Instant, sleep};

use super::child::Child;

/// How long a process may take to get ready.
const LIMIT: Duration = Duration::from_secs(30);

/// How often it is asked.
const POLL: Duration = Duration::from_millis(10);

/// Asks `probe` until it says yes.
///
/// # Errors
///
/// At once when the process ends, and when it takes too long; with the last
/// lines of its log.
pub(super) async fn until_ready<F>(child: &mut Child, probe: impl Fn() -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<bool>>,
{
    let status = tokio::select! {
        // What has ended is not ready, whoever else answers at its address.
        biased;
        status = child.ended() => status,
        is_ready = asked(probe) => {
            if is_ready {
                return Ok(());
            }
            let limit = LIMIT.as_secs();
            bail!("{} was not ready after {limit} s: {}", child.name(), child.last_words());
        }
    };
    let status = status.with_context(|| format!("cannot wait for {}", child.name()))?;
    bail!("{} ended ({status}): {}", child.name(), child.last_words())
}

/// Whether `probe` said yes in time.
async fn asked<F: Future<Output = anyhow::Result<bool>>>(probe: impl Fn() -> F) -> bool {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        // An error means that it does not listen yet.
        if probe().await.unwrap_or(false) {
            return true;
        }
        sleep(POLL).await;
    }
    false
}
