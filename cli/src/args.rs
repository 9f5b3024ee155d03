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

    /// What clap checks by itself does not tell whether a value has its field's type.
    #[test]
    fn every_argument_of_every_command_can_be_read() {
        let id = "019a0000-0000-7000-8000-000000000001";
        let lines = [
            "demo --jobs 5",
            "dev --port 8001 --workers 2 --ephemeral",
            "submit x --params {} --priority -5 --lane a --tool simulate --submitted-by me \
             --run-at 2099-01-01T00:00:00Z --timeout 1.5 --max-attempts 5 --retry {} \
             --start-by 2099-01-01T00:00:00Z --concurrency-key k --idempotency-key i --watch",
            "watch --lane a --state running --from-start",
            "watch ID",
            "jobs --state running --lane a --submitted-by me --limit 5",
            "jobs ID",
            "cancel ID",
            "dead list --lane a --tool simulate --error timeout --submitted-by me --limit 5",
            "dead show ID",
            "dead redrive --lane a --limit 5 --dry-run",
            "dead redrive ID",
            "dead purge --lane a --limit 5 --dry-run",
            "dead purge --all",
            "dead purge ID ID",
            "redrive ID",
            "lanes set a {}",
            "lanes pause a",
            "lanes resume a",
            "lanes share a acme 5",
            "lanes limit k 5",
            "lanes limit k --sequential",
            "migrate --database-url postgresql://h/d",
            "doctor",
            "edge",
            "worker",
        ];
        for line in lines {
            let line = format!("jetlane {}", line.replace("ID", id));
            Cli::try_parse_from(line.split_whitespace()).unwrap();
        }
        let named = |name: &str| lines.iter().any(|line| line.starts_with(name));
        for command in Cli::command().get_subcommands() {
            assert!(named(command.get_name()), "{}", command.get_name());
        }
    }

    #[test]
    fn who_does_not_say_which_dead_letters_means_none() {
        for line in ["dead purge", "dead redrive", "dead purge --dry-run", "dead purge --all ID"] {
            let line = line.replace("ID", "019a0000-0000-7000-8000-000000000001");
            let line = format!("jetlane {line}");
            assert!(Cli::try_parse_from(line.split_whitespace()).is_err(), "{line}");
        }
    }

    #[test]
    fn json_may_stand_before_or_after_the_command() {
        for line in [["jetlane", "--json", "jobs"], ["jetlane", "jobs", "--json"]] {
            assert!(Cli::parse_from(line).json);
        }
    }
}
