//! `edge` and workers as child processes.

use std::fs::File;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{ChildStdin, Command};
use tokio::time::timeout;

use crate::output::{complain, shortened};

/// What every process needs of our environment, whatever else it gets.
const PASSED_ON: [&str; 6] = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "LOG", "RUST_BACKTRACE"];

/// How much of a log's last line is worth repeating.
const LAST_WORDS: usize = 300;

/// Beyond what the processes give themselves for a drain.
const PATIENCE: Duration = Duration::from_secs(10);

/// What processes get of our environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Environment {
    /// All of it, so that a developer can configure what runs.
    Inherited,
    /// Nothing that could change what runs, nor a `.env` of this folder.
    Bare,
}

/// How to start processes.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) environment: Environment,
    pub(super) settings: Vec<(&'static str, String)>,
    pub(super) logs: PathBuf,
}

impl Program {
    /// Starts `edge`.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub(super) fn spawn_edge(&self, port: u16) -> anyhow::Result<Child> {
        let own = [("HOST", "127.0.0.1".to_owned()), ("PORT", port.to_string())];
        self.spawn("edge", "edge".to_owned(), own)
    }

    /// Starts a worker that serves its metrics on `port`.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub(super) fn spawn_worker(&self, number: usize, port: u16) -> anyhow::Result<Child> {
        let own = [("WORKER_HOST", "127.0.0.1".to_owned()), ("WORKER_PORT", port.to_string())];
        self.spawn("worker", format!("worker-{number}"), own)
    }

    fn spawn(
        &self,
        subcommand: &str,
        name: String,
        own: [(&str, String); 2],
    ) -> anyhow::Result<Child> {
        let executable = std::env::current_exe().context("cannot find this executable")?;
        let log = self.logs.join(format!("{name}.log"));
        let output = File::create(&log)
            .with_context(|| format!("cannot write the log {}", log.display()))?;

        let mut command = Command::new(executable);
        if self.environment == Environment::Bare {
            command.env_clear().current_dir(&self.logs);
            let ours = PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
            command.envs(ours);
        }
        let mut process = command
            .args([subcommand, "--exit-with-parent"])
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .envs(own)
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            // ^C at the terminal is for us; we tell them in our order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;

        let pid = process.id().with_context(|| format!("{name} ended at once"))?;
        let lifeline = process.stdin.take();
        Ok(Child { name, pid, log, process, _lifeline: lifeline })
    }
}

/// One of our processes.
#[derive(Debug)]
pub(super) struct Child {
    name: String,
    pid: u32,
    log: PathBuf,
    process: tokio::process::Child,
    /// Closed by the system if we die; the process ends then.
    _lifeline: Option<ChildStdin>,
}

impl Child {
    /// What it is called: `edge`, or `worker-1` and so on.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is `edge`.
    pub(super) fn is_edge(&self) -> bool {
        self.name == "edge"
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it ends.
    pub(super) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// The last line that it wrote, shortened.
    pub(super) fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        last_line(&String::from_utf8_lossy(&log))
    }

    /// Has it drain, waits at most `grace` for that, and then kills it.
    pub(super) async fn stop(mut self, grace: Duration) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw)
            && self.process.id().is_some()
        {
            // An error says that it has ended meanwhile.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(grace.saturating_add(PATIENCE), self.process.wait()).await.is_err() {
            let (name, pid) = (&self.name, self.pid);
            complain(format_args!("{name} (process {pid}) did not stop in time; killing it"));
            if let Err(error) = self.process.kill().await {
                complain(format_args!("cannot kill {name}: {error}"));
            }
        }
    }
}

fn last_line(log: &str) -> String {
    let line = log.lines().map(str::trim).rfind(|line| !line.is_empty());
    shortened(line.unwrap_or_default(), LAST_WORDS)
}
