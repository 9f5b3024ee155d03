//! What can be typed.

use std::num::NonZeroU32;
use std::path::PathBuf;

use crate::faults::{FaultKind, Footing, all_feasible, feasible};
use crate::mutants::Mutant;

/// Breaks everything while jobs run, and checks that nothing was lost.
///
/// Exits with 0 if no invariant was violated and every kind of fault that was
/// carried out had an effect, with 1 if not, and with 2 if it could not be run.
/// With a mutant, exits with 0 if that was caught.
#[derive(Debug, clap::Parser)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[command(name = "campaign", max_term_width = 100)]
pub(crate) struct Args {
    /// How long jobs are submitted and faults happen
    #[arg(long, default_value_t = 120)]
    pub(crate) seconds: u64,

    /// Decides what happens when; printed if not given
    #[arg(long)]
    pub(crate) seed: Option<u64>,

    /// Print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Jobs submitted in a second, whatever becomes of the ones before
    #[arg(long, default_value = "80")]
    pub(crate) rate: NonZeroU32,

    /// Only these kinds of faults, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "KIND")]
    pub(crate) faults: Vec<FaultKind>,

    /// No faults at all, to see what the machine can do
    #[arg(long, conflicts_with = "faults")]
    pub(crate) no_faults: bool,

    /// Run this variant, which is broken on purpose, under the faults that bring it out; the
    /// program must be one that was built with the variants
    #[arg(long, value_name = "NAME", conflicts_with_all = ["faults", "no_faults"])]
    pub(crate) mutant: Option<Mutant>,

    /// Run the servers in containers of a Docker engine, without the faults that need their processes
    #[arg(long, conflicts_with = "mutant")]
    pub(crate) containers: bool,

    /// How many workers
    #[arg(long, default_value_t = 3)]
    pub(crate) workers: usize,

    /// How many edges
    #[arg(long, default_value_t = 2)]
    pub(crate) edges: usize,

    /// How many watchers
    #[arg(long, default_value_t = 12)]
    pub(crate) watchers: usize,

    /// Keep logs and history also if all went well
    #[arg(long)]
    pub(crate) keep: bool,

    /// The product; the one built beside this program if not given
    #[arg(long, value_name = "PATH")]
    pub(crate) program: Option<PathBuf>,

    /// Whether half of the submits carry an idempotency key and are retried
    #[arg(long, value_enum, default_value = "on")]
    pub(crate) idempotency: Switch,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

impl Args {
    /// What the servers are to be.
    pub(crate) fn footing(&self) -> Footing {
        if self.containers { Footing::Containers } else { Footing::Processes }
    }

    /// The kinds of faults that were asked for, all that are feasible here unless
    /// said otherwise; and what keeps others from being so.
    ///
    /// # Errors
    ///
    /// If one that was asked for is not feasible here.
    pub(crate) fn kinds(&self) -> anyhow::Result<(Vec<FaultKind>, Vec<String>)> {
        let footing = self.footing();
        if let Some(mutant) = self.mutant {
            return Ok((all_feasible(mutant.faults(), footing)?, Vec::new()));
        }
        match self.faults.as_slice() {
            [] if self.no_faults => Ok(Default::default()),
            [] => Ok(feasible(FaultKind::ALL, footing)),
            kinds => Ok((all_feasible(kinds, footing)?, Vec::new())),
        }
    }
}
