//! Events as a watcher reads them.

use chrono::{DateTime, Utc};
use jetlane_core::domain::{EventKind, JobId, JobState};
use serde::Deserialize;

use super::job::Failure;

/// What an event tells of a job. Other fields are passed over.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct JobEvent {
    pub(crate) job_id: JobId,
    /// Its place among the job's events: 1, 2, 3, … without gaps.
    pub(crate) seq: i32,
    pub(crate) kind: EventKind,
    /// Where the job stood afterwards.
    pub(crate) state: JobState,
    pub(crate) attempt: i32,
    pub(crate) timestamp: DateTime<Utc>,
    pub(crate) lane: String,
    pub(crate) name: Option<String>,
    pub(crate) worker: Option<String>,
    pub(crate) gpu_id: Option<i32>,
    /// Seconds.
    pub(crate) execution_time: Option<f64>,
    pub(crate) error: Option<Failure>,
    /// When the commit's answer was read; unknown for an event that was relayed.
    pub(crate) committed_at: Option<DateTime<Utc>>,
}
