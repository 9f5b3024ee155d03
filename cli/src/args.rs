//! What can be typed.

use clap::{Parser, Subcommand};

use crate::commands::{
    cancel, dead, demo, dev, doctor, jobs, lanes, migrate, processes, submit, watch,
};
use crate::values;

/// Runs GPU and AI jobs behind an HTTP API, and shows every step of them live.
#[derive(Debug, Parser)]
#[command(name = "jetlane", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Print JSON, for programs; what edge and worker print is their logs
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[arg(
        long,
        global = true,
        help = "The address of the API [env: JETLANE_API] [default: http://127.0.0.1:8000]",
        value_name = "URL",
        value_parser = values::address
    )]
    pub(crate) api: Option<String>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring up everything, run some jobs, show and check what happens, remove everything
    Demo(demo::Args),
    /// Bring up everything and keep it up, for development
    Dev(dev::Args),
    /// Submit a job
    Submit(Box<submit::Args>),
    /// Follow events as they happen
    Watch(watch::Args),
    /// List jobs, or show one
    Jobs(jobs::Args),
    /// Ask for the end of jobs
    Cancel(cancel::Args),
    /// Look into jobs that failed for good, give them another chance, or remove them
    Dead(dead::Args),
    /// Give jobs that failed for good another chance
    Redrive(dead::Redrive),
    /// List lanes, change their policies, pause and resume them
    Lanes(lanes::Args),
    /// Bring the ledger's schema up to date
    Migrate(migrate::Args),
    /// Find out what is missing on this machine
    Doctor(doctor::Args),
    /// Serve the HTTP API; configured by the environment
    Edge(processes::Args),
    /// Run jobs; configured by the environment
    Worker(processes::Args),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn json_may_stand_before_or_after_the_command() {
        for line in [["jetlane", "--json", "jobs"], ["jetlane", "jobs", "--json"]] {
            assert!(Cli::parse_from(line).json);
        }
    }
}
