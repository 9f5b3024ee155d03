//! What can be typed.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::budgets::Budgets;
use crate::grow::Dimension;
use crate::load::Weighted;
use crate::stack::Fleet;

/// Puts Jetlane under load and says how fast it is, beside what the same durable steps cost with
/// bare clients.
///
/// Without a command, users do what SCENARIO says at a rate, whether or not those before were
/// served.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    /// Print the report as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What a run may not exceed: a file, or `none`; our own if not given
    #[arg(long, value_name = "FILE", global = true)]
    budgets: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) load: LoadArgs,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

impl Cli {
    /// What the run may not exceed.
    ///
    /// # Errors
    ///
    /// If a file was named that is none of budgets.
    pub(crate) fn budgets(&self) -> anyhow::Result<Budgets> {
        match &self.budgets {
            Some(file) if file.as_os_str() == "none" => Ok(Budgets::default()),
            Some(file) => Budgets::read(file),
            None => Budgets::ours(),
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure bare clients alone
    Floor(FloorArgs),
    /// Submit jobs at rates, and follow each to its end
    Pace(PaceArgs),
    /// Submit as many jobs as it takes
    Saturate(SaturateArgs),
    /// Submit jobs through the `jobs` function, as Lambda runs it, and through an edge
    Lambda(LambdaArgs),
    /// Measure how time and throughput change with how much there is
    Grow(GrowArgs),
    /// Say how two runs differ, and how sure that is
    Compare(CompareArgs),
}

/// The arguments of a load.
#[derive(Clone, Debug, Args)]
pub(crate) struct LoadArgs {
    /// Where, such as <https://staging.example>; brings up servers, an edge and a worker if not given
    #[arg(long, value_name = "URL")]
    pub(crate) host: Option<Url>,
    /// What lets users in
    #[arg(long, value_name = "KEY", env = "JETLANE_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,
    /// What users do, and how often it comes among the others: `submit`, `submit_and_follow`, `batch`,
    /// `poll`, `watch`
    #[arg(
        long,
        value_name = "KIND[=WEIGHT]",
        value_delimiter = ',',
        default_value = "submit=6,submit_and_follow=2,batch=1,poll=3"
    )]
    pub(crate) scenario: Vec<Weighted>,
    /// Arrivals of users per second
    #[arg(long, value_name = "N", default_value = "20", value_parser = rate)]
    pub(crate) rate: f64,
    /// How arrivals come
    #[arg(long, value_enum, default_value_t = Shape::Steady)]
    pub(crate) shape: Shape,
    /// How long arrivals come
    #[arg(long, default_value = "30s", value_parser = span)]
    pub(crate) duration: Duration,
    /// How many users there are: too few cannot keep the rate
    #[arg(long, value_name = "N", default_value = "64")]
    pub(crate) users: NonZeroUsize,
    /// How many watch all that happens
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) watchers: NonZeroUsize,
    /// Where to write report.html, report.json and goose.html
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

/// How arrivals come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shape {
    /// The same rate all the time.
    Steady,
    /// From nothing to the rate.
    Ramp,
    /// All of five seconds within half a second.
    Bursts,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Steady => "steady",
            Self::Ramp => "ramp",
            Self::Bursts => "bursts",
        })
    }
}

/// The arguments of `lambda`.
#[derive(Clone, Debug, Args)]
pub(crate) struct LambdaArgs {
    /// The function's program
    #[arg(long, value_name = "FILE", default_value = "target/release/jobs")]
    pub(crate) function: PathBuf,
    /// How many instances there are, each in a run of its own
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,10,50")]
    pub(crate) instances: Vec<NonZeroUsize>,
    /// Jobs per second
    #[arg(long, value_name = "N", default_value = "20", value_parser = rate)]
    pub(crate) rate: f64,
    /// How long each run takes
    #[arg(long, default_value = "10s", value_parser = span)]
    pub(crate) duration: Duration,
    /// How often an instance is started for a request
    #[arg(long, value_name = "N", default_value = "10")]
    pub(crate) cold: NonZeroUsize,
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

/// The arguments of `grow`.
#[derive(Clone, Debug, Args)]
pub(crate) struct GrowArgs {
    /// What grows
    #[arg(value_enum)]
    pub(crate) dimension: Dimension,
    /// How much there is of it, each measured on servers of its own
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) sizes: Vec<u64>,
    /// How long each measurement takes
    #[arg(long, default_value = "8s", value_parser = span)]
    pub(crate) duration: Duration,
    /// Draws FILE.time.svg and FILE.throughput.svg
    #[arg(long, value_name = "FILE")]
    pub(crate) chart: Option<PathBuf>,
}

/// The arguments of `compare`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CompareArgs {
    /// A report in JSON
    #[arg(value_name = "BEFORE")]
    pub(crate) before: PathBuf,
    /// Another, of the same command
    #[arg(value_name = "AFTER")]
    pub(crate) after: PathBuf,
    /// By how many percent a figure may be worse
    #[arg(long, value_name = "PERCENT", default_value = "10")]
    pub(crate) tolerance: f64,
}

/// The arguments of `floor`.
#[derive(Clone, Debug, Args)]
pub(crate) struct FloorArgs {
    /// Chains per second, each in a run of its own
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "50,500", value_parser = rate)]
    pub(crate) rates: Vec<f64>,
    /// How long each run takes
    #[arg(long, default_value = "10s", value_parser = span)]
    pub(crate) duration: Duration,
}

/// The arguments of `pace`.
#[derive(Clone, Debug, Args)]
pub(crate) struct PaceArgs {
    /// Jobs per second, each in runs of its own
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "50,500", value_parser = rate)]
    pub(crate) rates: Vec<f64>,
    /// How long a round takes, for the floor and for Jetlane each
    #[arg(long, default_value = "10s", value_parser = span)]
    pub(crate) duration: Duration,
    /// How often both are measured, in turns
    #[arg(long, value_name = "N", default_value = "5")]
    pub(crate) rounds: NonZeroUsize,
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

/// The arguments of `saturate`.
#[derive(Clone, Debug, Args)]
pub(crate) struct SaturateArgs {
    /// How long a round takes, for the floor and for Jetlane each
    #[arg(long, default_value = "10s", value_parser = span)]
    pub(crate) duration: Duration,
    /// How often both are measured, in turns
    #[arg(long, value_name = "N", default_value = "5")]
    pub(crate) rounds: NonZeroUsize,
    /// How many connections submit, each one job after the other
    #[arg(long, value_name = "N", default_value = "128")]
    pub(crate) clients: NonZeroUsize,
    /// How many jobs each request submits
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) batch: NonZeroUsize,
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

/// What is measured.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct FleetArgs {
    /// How many edges
    #[arg(long, value_name = "N", default_value_t = Fleet::default().edges)]
    edges: usize,
    /// How many workers
    #[arg(long, value_name = "N", default_value_t = Fleet::default().workers)]
    workers: usize,
    /// How many attempts each worker runs at once
    #[arg(long, value_name = "N", default_value_t = Fleet::default().slots)]
    slots: u16,
}

impl From<FleetArgs> for Fleet {
    fn from(args: FleetArgs) -> Self {
        Self { edges: args.edges, workers: args.workers, slots: args.slots }
    }
}

/// What was typed, as a report may tell it: whoever reads that is not let in.
pub(crate) fn typed(args: impl Iterator<Item = String>) -> Vec<String> {
    let mut is_key = false;
    args.map(|arg| {
        let told = match arg.split_once('=') {
            _ if is_key => "…".to_owned(),
            Some(("--api-key", _)) => "--api-key=…".to_owned(),
            _ => arg.clone(),
        };
        is_key = arg == "--api-key";
        told
    })
    .collect()
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number")?;
    if rate > 0.0 && rate <= 1e6 { Ok(rate) } else { Err("above 0, up to 1,000,000".to_owned()) }
}

/// Seconds, or with a unit: `500ms`, `90s`, `10m`.
fn span(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let number: f64 = digits.parse().map_err(|_| "such as 500ms, 90s or 10m")?;
    let unit = match &text[digits.len()..] {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        _ => return Err("such as 500ms, 90s or 10m".to_owned()),
    };
    let span = Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string())?;
    if span.is_zero() { Err("longer than nothing".to_owned()) } else { Ok(span) }
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
    fn a_report_does_not_tell_the_key() {
        let args = ["--rate", "5", "--api-key", "s3cret", "--api-key=s3cret", "--json"];
        let told = typed(args.iter().map(|arg| (*arg).to_owned()));
        assert_eq!(told, ["--rate", "5", "--api-key", "…", "--api-key=…", "--json"]);
    }

    #[test]
    fn spans_have_units() {
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(span("90"), Ok(Duration::from_secs(90)));
        assert_eq!(span("1.5m"), Ok(Duration::from_secs(90)));
        for wrong in ["", "s", "-1s", "0s", "5h", "1e400"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
