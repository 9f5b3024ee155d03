//! What a run came to, as it is kept.

use serde::{Deserialize, Serialize};

use crate::grow::Growth;
use crate::hops::HopFigures;
use crate::lambda::Lambda;
use crate::latency::Summary;
use crate::load::Load;
use crate::stack::{Fleet, Parts, Versions};
use crate::usage::Usage;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// What was typed.
    pub(crate) command: Vec<String>,
    /// When, as RFC 3339.
    pub(crate) started_at: String,
    pub(crate) machine: Machine,
    pub(crate) versions: Versions,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fleet: Option<Fleet>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) paces: Vec<Pace>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) floor_steps: Option<Steps>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) saturation: Option<Saturation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) load: Option<Load>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lambda: Option<Lambda>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) growth: Option<Growth>,
}

/// Where it ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) processor: String,
    pub(crate) kernel: String,
}

/// What single steps of the floor take, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Steps {
    /// A row is inserted and committed.
    pub(crate) commit: Summary,
    /// A message goes through core NATS to a subscriber.
    pub(crate) core_nats: Summary,
    /// A message is stored by JetStream, and that is acknowledged.
    pub(crate) jetstream: Summary,
}

/// One rate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pace {
    pub(crate) per_s: f64,
    /// From due to told, of chains of the floor.
    pub(crate) floor: Summary,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) jetlane: Option<JetlanePace>,
}

/// Jetlane at a rate. Times count from when a job was due to be submitted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
// What an earlier version did not measure.
#[serde(default)]
pub(crate) struct JetlanePace {
    pub(crate) lateness: Summary,
    pub(crate) accepted: Summary,
    pub(crate) running: Summary,
    pub(crate) ended: Summary,
    pub(crate) hops: HopFigures<Summary>,
    pub(crate) due: u64,
    pub(crate) refused: u64,
    pub(crate) untold: u64,
    /// What it used, for all rounds.
    pub(crate) usage: Parts<Usage>,
    pub(crate) cpu_ms_per_job: f64,
    /// `running` as a multiple of the floor's time.
    pub(crate) p50_to_floor: f64,
    pub(crate) p99_to_floor: f64,
    /// The same two of each round.
    pub(crate) rounds: Vec<(f64, f64)>,
}

/// As much as it takes: the round in the middle, by `completed_to_floor`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
// What an earlier version did not measure.
#[serde(default)]
pub(crate) struct Saturation {
    pub(crate) floor_per_s: f64,
    pub(crate) accepted_per_s: f64,
    pub(crate) completed_per_s: f64,
    pub(crate) accept: Summary,
    /// Of the product and its servers, in milliseconds per job.
    pub(crate) cpu_ms_per_job: Parts<f64>,
    pub(crate) cpu_ms_per_job_in_all: f64,
    /// That wrote to the ledger: below 3, jobs shared them.
    pub(crate) transactions_per_job: f64,
    /// Of the generator.
    pub(crate) generator_cpu_ms_per_job: f64,
    pub(crate) completed_to_floor: f64,
    /// The same of each round.
    pub(crate) rounds: Vec<f64>,
}

impl Machine {
    /// This one.
    pub(crate) fn this() -> Self {
        let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = processor.lines().find_map(|line| line.strip_prefix("model name"));
        let processor = processor.unwrap_or_default().trim_matches([':', ' ', '\t']);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: processor.to_owned(),
            kernel: kernel.trim().to_owned(),
        }
    }
}
