//! The product's processes, and what happens if one ends unasked.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

use crate::patience::{PATIENCE, eventually};

/// How much of a log is worth printing.
const TAIL: usize = 120;

/// News of processes that ended although nobody asked them to.
#[derive(Clone, Debug)]
pub struct Crashes {
    tell: Arc<watch::Sender<Option<String>>>,
    hear: watch::Receiver<Option<String>>,
}

impl Default for Crashes {
    fn default() -> Self {
        let (tell, hear) = watch::channel(None);
        Self { tell: Arc::new(tell), hear }
    }
}

impl Crashes {
    /// Nothing has crashed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What has crashed, if anything.
    #[must_use]
    pub fn first(&self) -> Option<String> {
        self.hear.borrow().clone()
    }

    /// The future's value, unless a process crashes before there is one.
    ///
    /// # Panics
    ///
    /// If a process crashes.
    pub async fn race<T>(&self, future: impl Future<Output = T>) -> T {
        let mut hear = self.hear.clone();
        tokio::select! {
            biased;
            value = future => value,
            Ok(crash) = hear.wait_for(Option::is_some) => panic!("{}", crash.as_deref().unwrap_or_default()),
        }
    }
}

/// A running process of the product. Dropping it kills it and waits for its end.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    log: PathBuf,
    end: watch::Receiver<Option<ExitStatus>>,
    is_end_expected: Arc<AtomicBool>,
    waiter: Option<JoinHandle<()>>,
    /// Closed by the system if the tests die; the process ends then.
    _lifeline: Option<ChildStdin>,
}

impl Process {
    /// Starts `command` with its output in a file of `folder`.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn start(name: &str, mut command: Command, folder: &Path, crashes: &Crashes) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).unwrap();
        command.stdin(Stdio::piped()).stdout(file.try_clone().unwrap()).stderr(file);
        let mut child = command.spawn().unwrap();
        let lifeline = child.stdin.take();

        let pid = Pid::from_child(&child);
        let is_end_expected = Arc::new(AtomicBool::new(false));
        let (tell_end, end) = watch::channel(None);
        let waiter = std::thread::spawn({
            let (name, tell_crash) = (name.to_owned(), Arc::clone(&crashes.tell));
            let is_end_expected = Arc::clone(&is_end_expected);
            move || wait(child, &name, &is_end_expected, &tell_crash, &tell_end)
        });
        Self {
            name: name.to_owned(),
            pid,
            log,
            end,
            is_end_expected,
            waiter: Some(waiter),
            _lifeline: lifeline,
        }
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<ExitStatus> {
        *self.end.borrow()
    }

    /// Signals the process. From now on it may end.
    ///
    /// # Panics
    ///
    /// If it may not be signalled.
    pub fn signal(&self, signal: Signal) {
        self.is_end_expected.store(true, Ordering::Release);
        if self.end.borrow().is_none() {
            kill_process(self.pid, signal).unwrap();
        }
    }

    /// Stops the process without ending it, until it is [thawed](Self::thaw).
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn freeze(&self) {
        kill_process(self.pid, Signal::STOP).unwrap();
    }

    /// Lets a frozen process go on.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn thaw(&self) {
        kill_process(self.pid, Signal::CONT).unwrap();
    }

    /// Waits for the end of a process that was told to end.
    ///
    /// # Panics
    ///
    /// If it does not end within `limit`.
    pub async fn end_within(&self, limit: Duration) -> ExitStatus {
        match self.wait(limit).await {
            Some(status) => status,
            None => panic!("{} did not end within {limit:?}", self.name),
        }
    }

    /// Waits for the end of the process; `None` if it does not come within `limit`.
    pub async fn wait(&self, limit: Duration) -> Option<ExitStatus> {
        let mut end = self.end.clone();
        let ended = tokio::time::timeout(limit, end.wait_for(Option::is_some)).await;
        ended.ok()?.ok().and_then(|status| *status)
    }

    /// Kills the process as power loss would, and waits until it is gone.
    pub async fn kill(&self) {
        self.signal(Signal::KILL);
        self.end_within(PATIENCE).await;
    }

    /// What it has logged.
    #[must_use]
    pub fn logged(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The address that it says it listens on.
    ///
    /// # Panics
    ///
    /// If it does not say so in time, or a process crashes before.
    pub async fn address(&self, crashes: &Crashes) -> String {
        let what = format!("{} says where it listens", self.name);
        let address = eventually(&what, PATIENCE, async || self.told("address"));
        crashes.race(address).await
    }

    /// The value of a field of its log, once it has written one.
    #[must_use]
    pub fn told(&self, field: &str) -> Option<String> {
        let log = self.logged();
        let (_, value) = log.split_once(&format!(" {field}="))?;
        // A line that is not whole yet may hold half of it.
        let (value, _) = value.split_once(char::is_whitespace)?;
        Some(value.to_owned())
    }

    /// Prints the end of its log, for who reads of a failure.
    pub fn print_log(&self) {
        let log = self.logged();
        let lines: Vec<_> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL)..];
        eprintln!("--- log of {} ---\n{}", self.name, tail.join("\n"));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.is_end_expected.store(true, Ordering::Release);
        if self.end.borrow().is_none() {
            // An error says that it has just ended.
            let _ = kill_process(self.pid, Signal::KILL);
        }
        if let Some(waiter) = self.waiter.take() {
            drop(waiter.join());
        }
    }
}

fn wait(
    mut child: Child,
    name: &str,
    is_end_expected: &AtomicBool,
    tell_crash: &watch::Sender<Option<String>>,
    tell_end: &watch::Sender<Option<ExitStatus>>,
) {
    let status = child.wait().unwrap();
    if !is_end_expected.load(Ordering::Acquire) {
        tell_crash.send_replace(Some(format!("{name} ended unasked: {status}")));
    }
    tell_end.send_replace(Some(status));
}
