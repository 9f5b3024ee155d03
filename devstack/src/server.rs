//! A server of our own, until it is ready and after.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::DevstackError;
use crate::guard::{Guard, LIMIT, Task, Word};
use crate::ports;
use crate::product::Product;

/// How long a server may take to get ready; PostgreSQL may have to recover from a crash.
const START: Duration = Duration::from_mins(1);

/// How long the remains of an earlier run may keep a server from starting again.
const REMAINS: Duration = Duration::from_secs(10);

/// How often a starting server is asked whether it is ready.
const POLL: Duration = Duration::from_millis(20);

/// How many lines of a log are worth repeating.
const TAIL: usize = 4;

/// A server and its guard.
#[derive(Debug)]
pub(crate) struct Server {
    product: &'static Product,
    folder: PathBuf,
    guard: Guard,
}

impl Server {
    /// Starts the guard of a server, but not the server.
    pub(crate) fn new(product: &'static Product, task: &Task<'_>) -> Result<Self, DevstackError> {
        let guard = Guard::spawn(task)
            .map_err(DevstackError::io(format!("start the guard of {}", product.name)))?;
        Ok(Self { product, folder: task.folder.path().to_owned(), guard })
    }

    /// The folder of its data, settings and log.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.guard.pid()
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
        if self.pid().is_some() {
            return Ok(());
        }
        // A guard that is gone has said why.
        self.tell(Word::Start).await.or_else(|error| match error {
            DevstackError::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => {
                Ok(())
            }
            error => Err(error),
        })?;

        tokio::select! {
            ready = until(probe) => {
                if ready { Ok(()) } else { Err(self.too_slow("get ready", START)) }
            }
            () = self.guard.ended() => {
                Err(DevstackError::Exited { product: self.product.name, log: self.last_words() })
            }
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
                    if log.contains("still in use") || ports::was_taken(&log) =>
                {
                    if Instant::now() >= deadline {
                        return Err(DevstackError::Exited { product: self.product.name, log });
                    }
                    sleep(POLL).await;
                }
                done => return done,
            }
        }
    }

    /// Ends it by SIGKILL. Does nothing if it does not run.
    pub(crate) async fn kill(&mut self) -> Result<(), DevstackError> {
        if self.pid().is_some() { self.tell(Word::Kill).await } else { Ok(()) }
    }

    /// Ends it in good order; its data stays. Does nothing if it does not run.
    pub(crate) async fn stop(&mut self) -> Result<(), DevstackError> {
        if self.pid().is_some() { self.tell(Word::Stop).await } else { Ok(()) }
    }

    /// Ends it for good, its guard and, if temporary, its folder.
    pub(crate) async fn end(self) -> Result<(), DevstackError> {
        let too_slow = self.too_slow("stop", LIMIT);
        if self.guard.end().await { Ok(()) } else { Err(too_slow) }
    }

    async fn tell(&mut self, word: Word) -> Result<(), DevstackError> {
        let action = format!(
            "have {} {}",
            self.product.name,
            match word {
                Word::Start => "started",
                Word::Stop => "stopped",
                Word::Kill => "killed",
            }
        );
        self.guard.tell(word).await.map_err(DevstackError::io(action))
    }

    fn too_slow(&self, action: &'static str, limit: Duration) -> DevstackError {
        DevstackError::TooSlow { product: self.product.name, action, seconds: limit.as_secs() }
    }

    /// Why it ended, as far as it or its guard have said, in one line.
    fn last_words(&self) -> String {
        let log = fs::read(self.folder.join("server.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let said = self.guard.said();
        let said = (!said.is_empty()).then_some(said.as_str());

        let tail = lines[lines.len().saturating_sub(TAIL)..].iter().copied();
        said.into_iter().chain(tail).collect::<Vec<_>>().join(" | ")
    }
}

/// Whether `probe` succeeded in time.
async fn until<F: Future<Output = anyhow::Result<()>>>(probe: impl Fn() -> F) -> bool {
    let deadline = Instant::now() + START;
    while probe().await.is_err() {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(POLL).await;
    }
    true
}
