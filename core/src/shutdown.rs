//! Stopping: drain first, abort second.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long each step of taking a process down may take.
const STEP_LIMIT: Duration = Duration::from_secs(2);

/// Tells every task of a process when to stop. Clones share one shutdown.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Take no new work; finish what is running.
    pub drain: CancellationToken,
    /// Stop now, giving back what is unfinished.
    pub abort: CancellationToken,
}

impl Shutdown {
    /// Drains on the first SIGTERM, SIGINT or SIGHUP, and aborts on a further SIGTERM or SIGINT or
    /// after `grace`, whichever comes first. Runs until then.
    ///
    /// SIGHUP means that the terminal was closed. It comes from the shell and from the system, so
    /// a second one says nothing new. Where it is ignored, as `nohup` has it, it stays so.
    ///
    /// # Errors
    ///
    /// If the signal handlers cannot be installed; then nothing was changed.
    pub async fn on_signals(&self, grace: Duration) -> io::Result<()> {
        let is_ignored = is_hangup_ignored();
        let mut hangup = if is_ignored { None } else { Some(signal(SignalKind::hangup())?) };
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;

        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = heard(hangup.as_mut()) => {}
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

/// Waits for a step of taking a process down, but not for ever: that it does not end is logged.
pub async fn step<T>(what: &'static str, ending: impl Future<Output = T>) {
    if timeout(STEP_LIMIT, ending).await.is_err() {
        tracing::warn!(what, "did not end in time");
    }
}

async fn heard(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether our parent has had SIGHUP ignored. Listening to it would undo that.
fn is_hangup_ignored() -> bool {
    // Only Linux says so.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The first bit is the first signal.
    ignored.is_some_and(|mask| mask & 1 != 0)
}
