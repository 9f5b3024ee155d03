//! What a load came to.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::depths::Depths;
use super::slopes::Slope;
use super::timeline::Second;
use crate::args::Shape;
use crate::hops::HopFigures;
use crate::latency::{Distribution, Summary};
use crate::stack::Parts;
use crate::usage::Usage;

/// What a load came to. Times count from when something was due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Load {
    /// Where: a URL, or `own stack`.
    pub(crate) target: String,
    /// What users did, and how often it came among the others.
    pub(crate) scenario: Vec<(String, usize)>,
    pub(crate) shape: Shape,
    /// Arrivals per second.
    pub(crate) per_s: f64,
    pub(crate) duration_s: f64,
    pub(crate) users: usize,
    pub(crate) watchers: usize,
    /// Arrivals.
    pub(crate) due: u64,
    /// Those of them that failed, or for whom no user was free.
    pub(crate) failed: u64,
    pub(crate) accepted_jobs: u64,
    /// Those of them that failed or were cancelled, as the first watcher was told.
    #[serde(default)]
    pub(crate) failed_jobs: u64,
    /// Accepted jobs whose end the first watcher was not told.
    pub(crate) untold_jobs: u64,
    /// Streams of watchers that broke.
    pub(crate) broken_streams: u64,
    /// Of chains of the floor at the same rate, on the same servers, before the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) floor: Option<Summary>,
    /// How late users were themselves: too few of them cannot keep the schedule.
    pub(crate) lateness: Distribution,
    /// Until a job was accepted.
    pub(crate) accepted: Distribution,
    /// Until a watcher was told that it runs.
    pub(crate) running: Distribution,
    /// Until the watcher was told that it has ended.
    pub(crate) ended: Distribution,
    /// Until a user had done what it came for, by what that was.
    pub(crate) done: BTreeMap<String, Distribution>,
    /// Of all events, if everybody has the clock of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hops: Option<HopFigures<Distribution>>,
    /// From the commit of an event until a watcher had read it, of all watchers; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delivered: Option<Distribution>,
    pub(crate) seconds: Vec<Second>,
    /// Of our own stack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) usage: Vec<UsageAt>,
    /// Of its second half, if that is long enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) slopes: Vec<Slope>,
}

/// What was used up to a time of the run, and what had piled up by then.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct UsageAt {
    /// Since the first arrival could come.
    pub(crate) at_s: f64,
    pub(crate) used: Parts<Usage>,
    #[serde(default)]
    pub(crate) depths: Depths,
}

impl UsageAt {
    /// When.
    pub(super) fn at(&self) -> Duration {
        Duration::try_from_secs_f64(self.at_s).unwrap_or_default()
    }
}
