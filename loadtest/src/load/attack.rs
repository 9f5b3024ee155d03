//! Goose users that put a target under load.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use goose::GooseAttack;
use goose::config::GooseConfiguration;

use super::scenarios::{Weighted, scenario};
use super::shared::Shared;

/// How users attack.
#[derive(Clone, Debug)]
pub(super) struct Attack {
    /// Where, as a URL.
    pub(super) host: String,
    /// What they do.
    pub(super) kinds: Vec<Weighted>,
    /// How many there are. Too few come late to arrivals, which counts against the run.
    pub(super) users: usize,
    /// How long arrivals come, the head start included.
    pub(super) span: Duration,
    /// Where goose's own report goes.
    pub(super) report: Option<PathBuf>,
}

impl Attack {
    /// Runs until the schedule is over and users have done what they had begun.
    ///
    /// # Errors
    ///
    /// If goose cannot start, or cannot write its report.
    pub(super) async fn run(&self, shared: &Arc<Shared>) -> anyhow::Result<()> {
        let mut configuration = GooseConfiguration::default();
        configuration.host = Some(self.host.clone());
        configuration.users = Some(self.users);
        // All of them within a second.
        configuration.increase_rate = Some(self.users.to_string());
        configuration.run_time = Some(format!("{}s", self.span.as_secs() + 1));
        configuration.report_file =
            self.report.iter().map(|path| path.display().to_string()).collect();
        configuration.no_print_metrics = true;
        // They count from when a user was free, and so the waiting too.
        configuration.no_transaction_metrics = true;
        configuration.no_scenario_metrics = true;
        configuration.no_telnet = true;
        configuration.no_gzip = true;
        configuration.quiet = 2;
        let mut attack = GooseAttack::initialize_with_config(configuration)?;
        for weighted in &self.kinds {
            attack = attack.register_scenario(scenario(*weighted, shared)?);
        }
        Box::pin(attack.execute()).await.map(drop).context("goose")
    }
}
