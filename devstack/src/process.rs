//! A server that is a process of this machine, and its guard.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ended::Ended;
use crate::error::DevstackError;
use crate::guard::{Guard, LIMIT, Task, Word};
use crate::last_words;
use crate::product::Product;
use crate::ready::{START, until_ready};

/// A server and its guard.
#[derive(Debug)]
pub(crate) struct Process {
    product: &'static Product,
    folder: PathBuf,
    guard: Guard,
}

impl Process {
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

    /// Waits until it does not run, and returns what is known of its end.
    pub(crate) async fn ended(&self) -> Ended {
        self.guard.ended().await;
        let (pid, status) = self.guard.last().unzip();
        let (name, last_words) = (self.product.name, self.last_words());
        Ended { name, pid, status: status.flatten(), last_words }
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
            ready = until_ready(probe) => {
                if ready { Ok(()) } else { Err(self.too_slow("get ready", START)) }
            }
            () = self.guard.ended() => {
                Err(DevstackError::Exited { product: self.product.name, log: self.last_words() })
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

    /// Removes a part of its folder, if it is there.
    pub(crate) async fn remove(&mut self, part: &str) -> Result<(), DevstackError> {
        let part = self.folder.join(part);
        match tokio::fs::remove_dir_all(&part).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DevstackError::io(format!("remove {}", part.display()))(error))
            }
            _ => Ok(()),
        }
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
        let log = last_words::of_log(&String::from_utf8_lossy(&log));
        [self.guard.said(), log]
            .into_iter()
            .filter(|said| !said.is_empty())
            .collect::<Vec<_>>()
            .join(" | ")
    }
}
