//! What can be typed.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::stack::Fleet;

/// Puts Jetlane under load and says how fast it is, beside what the same durable steps cost with
/// bare clients.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Print the report as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
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
    #[arg(long, value_name = "N", default_value = "3")]
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
    #[arg(long, value_name = "N", default_value = "3")]
    pub(crate) rounds: NonZeroUsize,
    /// How many connections submit, each one job after the other
    #[arg(long, value_name = "N", default_value = "128")]
    pub(crate) clients: NonZeroUsize,
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
    fn spans_have_units() {
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(span("90"), Ok(Duration::from_secs(90)));
        assert_eq!(span("1.5m"), Ok(Duration::from_secs(90)));
        for wrong in ["", "s", "-1s", "0s", "5h", "1e400"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
