//! Stopping: drain first, abort second.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Tells every task of a process when to stop. Clones share one shutdown.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Take no new work; finish what is running.
    pub drain: CancellationToken,
    /// Stop now, giving back what is unfinished.
    pub abort: CancellationToken,
}

impl Shutdown {
    /// Drains on the first SIGTERM or SIGINT, and aborts on the second or after
    /// `grace`, whichever comes first. Runs until then.
    ///
    /// # Errors
    ///
    /// If the signal handlers cannot be installed; then nothing was changed.
    pub async fn on_signals(&self, grace: Duration) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;

        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!(grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX), "draining");
        self.drain.cancel();

        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = tokio::time::sleep(grace) => {}
        }
        tracing::warn!("aborting");
        self.abort.cancel();
        Ok(())
    }
}
