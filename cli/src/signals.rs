//! ^C, SIGTERM and SIGHUP for the commands that bring something up.

use std::time::Duration;

use jetlane_core::shutdown::Shutdown;
use tokio::task::JoinSet;

use crate::output::complain;

/// Drains `shutdown` at the first signal and aborts it at the second one that is no SIGHUP, as
/// long as what it returns is kept.
pub(crate) fn heed(shutdown: &Shutdown) -> JoinSet<()> {
    let shutdown = shutdown.clone();
    let mut signals = JoinSet::new();
    signals.spawn(async move {
        if let Err(error) = shutdown.on_signals(Duration::MAX).await {
            complain(format_args!("cannot hear signals: {error}"));
        }
    });
    signals
}
