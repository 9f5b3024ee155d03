//! A server of our own, whatever it runs in.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::containers::Container;
use crate::ended::Ended;
use crate::error::DevstackError;
use crate::ports;
use crate::process::Process;

/// How long the remains of an earlier run may keep a server from starting again.
const REMAINS: Duration = Duration::from_secs(10);

/// How often that is tried.
const POLL: Duration = Duration::from_millis(20);

/// A server of our own. It ends with this value, and with this process.
#[derive(Debug)]
pub(crate) enum Server {
    Process(Process),
    Container(Box<Container>),
}

impl Server {
    /// Its process, while it runs. A container's are its engine's affair.
    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Self::Process(process) => process.pid(),
            Self::Container(_) => None,
        }
    }

    /// Waits until it does not run, whoever ended it.
    pub(crate) async fn ended(&self) -> Ended {
        match self {
            Self::Process(process) => process.ended().await,
            Self::Container(container) => container.ended().await,
        }
    }

    async fn is_running(&self) -> Result<bool, DevstackError> {
        match self {
            Self::Process(process) => Ok(process.pid().is_some()),
            Self::Container(container) => container.is_running().await,
        }
    }

    /// Starts it and waits until `probe` finds it ready. Does nothing if it runs.
    ///
    /// # Errors
    ///
    /// [`DevstackError::Exited`] as soon as the server gives up, with its reason.
    pub(crate) async fn start<F>(&mut self, probe: impl Fn() -> F) -> Result<(), DevstackError>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        match self {
            Self::Process(process) => process.start(probe).await,
            Self::Container(container) => container.start(probe).await,
        }
    }

    /// As [`Server::start`], but waits for what an earlier run has left: its port, which someone may
    /// have taken, and memory, which PostgreSQL's processes share until the last is gone.
    pub(crate) async fn start_again<F>(
        &mut self,
        probe: impl Fn() -> F,
    ) -> Result<(), DevstackError>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let deadline = Instant::now() + REMAINS;
        loop {
            match self.start(&probe).await {
                Err(DevstackError::Exited { log, .. })
                    if (log.contains("still in use") || ports::was_taken(&log))
                        && Instant::now() < deadline =>
                {
                    sleep(POLL).await;
                }
                done => return done,
            }
        }
    }

    /// Ends it by SIGKILL. Does nothing if it does not run.
    pub(crate) async fn kill(&mut self) -> Result<(), DevstackError> {
        match self {
            Self::Process(process) => process.kill().await,
            Self::Container(container) => container.kill().await,
        }
    }

    /// Ends it in good order; its data stays. Does nothing if it does not run.
    pub(crate) async fn stop(&mut self) -> Result<(), DevstackError> {
        match self {
            Self::Process(process) => process.stop().await,
            Self::Container(container) => container.stop().await,
        }
    }

    /// Removes what it has stored, which a process keeps in `part` of its folder.
    ///
    /// # Errors
    ///
    /// [`DevstackError::Io`] of kind `ResourceBusy` if it runs; nothing is removed then.
    pub(crate) async fn wipe(&mut self, part: &str) -> Result<(), DevstackError> {
        if self.is_running().await? {
            let busy = io::ErrorKind::ResourceBusy.into();
            return Err(DevstackError::io(format!("remove the {part} of a running server"))(busy));
        }
        match self {
            Self::Process(process) => process.remove(part).await,
            Self::Container(container) => container.remove().await,
        }
    }

    /// Ends it for good, and all that was made for it.
    pub(crate) async fn end(self) -> Result<(), DevstackError> {
        match self {
            Self::Process(process) => process.end().await,
            Self::Container(container) => container.end().await,
        }
    }
}
