//! Jobs as they cross the API.

use chrono::{DateTime, Utc};
use jetlane_core::domain::{JobId, JobState};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The body of a submit. What is `None` is left to the server's defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct NewJob {
    pub(crate) name: String,
    pub(crate) params: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lane: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) submitted_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_at: Option<String>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) concurrency_key: Option<String>,
}

/// What people and checks want to know of a job. Other fields are passed over,
/// so that an older client can talk to a newer server.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct JobView {
    pub(crate) id: JobId,
    pub(crate) name: String,
    pub(crate) lane: String,
    pub(crate) state: JobState,
    pub(crate) priority: i32,
    pub(crate) attempt: i32,
    pub(crate) max_attempts: i32,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) submitted_by: Option<String>,
    pub(crate) worker: Option<String>,
    pub(crate) gpu_id: Option<i32>,
    pub(crate) progress: Option<f32>,
    pub(crate) error: Option<Failure>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    /// The seq of its latest event.
    pub(crate) event_seq: i32,
}

/// Why a job, or its last attempt, failed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Failure {
    /// Not an enum here: a newer server may know further kinds.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) message: String,
}

/// Which jobs to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobFilter {
    pub(crate) state: Option<JobState>,
    pub(crate) lane: Option<String>,
    pub(crate) submitted_by: Option<String>,
}

/// What a request to cancel came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CancelAnswer {
    /// The job had not begun, or had been cancelled before.
    Cancelled,
    /// The job runs, and its attempt has been told to stop.
    Stopping,
}
