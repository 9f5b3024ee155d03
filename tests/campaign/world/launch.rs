//! The program under test and what it is told.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use super::{LANES, Role, SLOTS};
use crate::args::Args;
use crate::mutants::Mutant;

/// How long a run that ends by itself may take.
const RUN_LIMIT: Duration = Duration::from_mins(1);

/// What every process is told, besides where its servers are. Leases are as
/// short as they may be, so that they lapse often; the rest is as in
/// production, or nearly.
fn settings(role: Role) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("HOST", "127.0.0.1".to_owned()),
        ("PORT", "0".to_owned()),
        ("WORKER_HOST", "127.0.0.1".to_owned()),
        ("WORKER_PORT", "0".to_owned()),
        ("DRAIN_GRACE", "5".to_owned()),
    ];
    if role == Role::Worker {
        settings.extend([
            ("LANES", LANES.join(",")),
            ("GPU_COUNT", SLOTS.to_string()),
            ("LEASE", "3".to_owned()),
            ("RETRY_BACKOFF", "0.2".to_owned()),
            ("SIMULATE_MIN_MS", "1".to_owned()),
            ("SIMULATE_MAX_MS", "50".to_owned()),
            ("SIMULATE_FAILURE_RATE", "0".to_owned()),
        ]);
    }
    settings
}

/// How the program is run.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    program: PathBuf,
    /// The `jobs` function, if it is there.
    function: PathBuf,
    folder: PathBuf,
    mutant: Option<Mutant>,
}

impl Launch {
    /// The program given, or the one that was built beside this one.
    pub(super) fn new(args: &Args, folder: &Path) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("cannot tell where this program is")?;
        let beside = || Ok(own.with_file_name("jetlane-under-test"));
        let program = args.program.as_deref().map_or_else(beside, std::path::absolute)?;
        ensure!(program.is_file(), "there is no program {}: build it first", program.display());
        let function = own.with_file_name("jobs");
        Ok(Self { program, function, folder: folder.to_owned(), mutant: args.mutant })
    }

    /// Sees that the function was built beside this program.
    ///
    /// # Errors
    ///
    /// If it was not.
    pub(super) fn ensure_function(&self) -> anyhow::Result<()> {
        let profile = if cfg!(debug_assertions) { "" } else { "--release " };
        let function = self.function.display();
        let how = format!("cargo build {profile}-p jetlane-functions --bin jobs");
        ensure!(self.function.is_file(), "there is no program {function}: {how}");
        Ok(())
    }

    /// Where logs go.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The command of a long-lived process.
    pub(super) fn command(&self, role: Role, database_url: &str, nats_url: &str) -> Command {
        let mut command = match role {
            Role::Edge | Role::Worker => {
                let mut command = self.bare();
                command.args([role.as_str(), "--exit-with-parent"]).envs(settings(role));
                command
            }
            Role::Function => self.of(&self.function),
        };
        command.env("DATABASE_URL", database_url).env("NATS_URL", nats_url);
        command
    }

    /// Has the program bring the ledger's schema up to date.
    pub(super) async fn migrate(&self, database_url: &str) -> anyhow::Result<()> {
        let mut command = self.bare();
        command.arg("migrate").env("DATABASE_URL", database_url);
        run(command).await.map(drop)
    }

    /// What the program says that it is.
    pub(super) async fn version(&self) -> anyhow::Result<String> {
        let mut command = self.bare();
        command.arg("--version");
        let said = run(command).await?;
        Ok(said.trim().trim_start_matches("jetlane").trim().to_owned())
    }

    fn bare(&self) -> Command {
        self.of(&self.program)
    }

    fn of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(&self.folder);
        command.envs(self.mutant.map(|mutant| ("JETLANE_MUTANT", mutant.as_str())));
        command
    }
}

async fn run(command: Command) -> anyhow::Result<String> {
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true).stdin(Stdio::null());
    let output =
        tokio::time::timeout(RUN_LIMIT, command.output()).await.context("it does not end")??;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", output.status, error.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
