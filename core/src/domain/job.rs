//! A job, what it is made from, and what its attempts are told and tell.

use std::num::NonZeroI32;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{JobId, JobState, LaneName, TenantName, Tool, WorkerId, optional_rfc3339, rfc3339};

/// A job as the ledger holds it, and as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Job {
    /// Its identity.
    pub id: JobId,
    /// Whose it is; not shown, since a caller sees only its own tenant's jobs.
    #[serde(skip)]
    pub tenant: TenantName,
    /// The queue it waits in.
    pub lane: LaneName,
    /// What people call it.
    pub name: String,
    /// What carries it out.
    pub tool: Tool,
    /// What the tool is given.
    pub params: Map<String, Value>,
    /// Higher runs first.
    pub priority: i32,
    /// Where it stands.
    pub state: JobState,
    /// The attempt that runs or ran last, 0 before the first; never reused.
    pub attempt: i32,
    /// Attempts that count against `max_attempts`.
    pub failures: i32,
    /// How many charged failures make it a dead letter.
    pub max_attempts: i32,
    /// Not to be started before.
    #[serde(with = "rfc3339")]
    pub run_at: DateTime<Utc>,
    /// How long one attempt may take, in seconds in JSON.
    #[serde(serialize_with = "seconds")]
    pub timeout: Option<Duration>,
    /// At most one job of a tenant with the same key runs at a time.
    pub concurrency_key: Option<String>,
    /// Who asked for it.
    pub submitted_by: Option<String>,
    /// The worker that runs it, or ran it last.
    pub worker: Option<WorkerId>,
    /// The GPU of that attempt.
    pub gpu_id: Option<i32>,
    /// Latest reported progress, 0 to 1.
    pub progress: Option<f32>,
    /// What it brought, once completed.
    pub result: Option<Value>,
    /// Why it failed, or why its last attempt did.
    pub error: Option<JobError>,
    /// Accepted.
    #[serde(with = "rfc3339")]
    pub created_at: DateTime<Utc>,
    /// Latest start of an attempt.
    #[serde(with = "optional_rfc3339")]
    pub started_at: Option<DateTime<Utc>>,
    /// Reached its final state.
    #[serde(with = "optional_rfc3339")]
    pub finished_at: Option<DateTime<Utc>>,
    /// Its end was asked for while it ran.
    #[serde(with = "optional_rfc3339")]
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// The seq of its latest event.
    pub event_seq: i32,
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn seconds<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.serialize_f64(value.as_secs_f64()),
        None => to.serialize_none(),
    }
}

/// What makes a job.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// Made by whoever accepts the request.
    pub id: JobId,
    /// Whose it is.
    pub tenant: TenantName,
    /// The queue it goes to; must exist.
    pub lane: LaneName,
    /// What people call it.
    pub name: String,
    /// What carries it out.
    pub tool: Tool,
    /// What the tool is given.
    pub params: Map<String, Value>,
    /// Higher runs first.
    pub priority: i32,
    /// Who asked for it.
    pub submitted_by: Option<String>,
    /// When it is due.
    pub run_at: RunAt,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// How many charged failures make it a dead letter.
    pub max_attempts: NonZeroI32,
    /// At most one job of a tenant with the same key runs at a time.
    pub concurrency_key: Option<String>,
    /// The caller's W3C trace context.
    pub traceparent: Option<String>,
}

/// When a job is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunAt {
    /// As soon as there is room.
    #[default]
    Now,
    /// Not before this time of the ledger's clock.
    At(DateTime<Utc>),
}

/// What a waiting job's owner may change. `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobPatch {
    /// What people call it.
    pub name: Option<String>,
    /// Replaced whole, not merged.
    pub params: Option<Map<String, Value>>,
    /// Higher runs first.
    pub priority: Option<i32>,
    /// Who asked for it; `Some(None)` clears it.
    pub submitted_by: Option<Option<String>>,
    /// The queue it moves to; must exist.
    pub lane: Option<LaneName>,
    /// When it is due; a time that has come makes it claimable.
    pub run_at: Option<DateTime<Utc>>,
}

impl JobPatch {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The right to tell of one attempt. Holding this value does not mean that the
/// attempt is still the current one: every write checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub job_id: JobId,
    /// The attempt, which is the fence.
    pub attempt: i32,
}

/// A job that a worker has just claimed.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// The right to tell of this attempt.
    pub lease: Lease,
    /// The job's lane.
    pub lane: LaneName,
    /// What people call it.
    pub name: String,
    /// What carries it out.
    pub tool: Tool,
    /// What the tool is given.
    pub params: Map<String, Value>,
    /// The GPU that the attempt was given.
    pub gpu_id: i32,
    /// Failures charged so far.
    pub failures: i32,
    /// How many charged failures make it a dead letter.
    pub max_attempts: i32,
    /// How long the attempt may take.
    pub timeout: Option<Duration>,
    /// Whether its end frees a concurrency key.
    pub is_keyed: bool,
    /// The submitter's W3C trace context.
    pub traceparent: Option<String>,
}

/// Why an attempt, or a job, failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// What kind of failure.
    #[serde(rename = "type")]
    pub kind: ErrorKind,
    /// For people.
    pub message: String,
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Another attempt may do better.
    Transient,
    /// No other attempt would do better.
    Permanent,
    /// The attempt took longer than it may.
    Timeout,
    /// The tool panicked.
    Panic,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Well.
    Completed {
        /// What it brought.
        result: Option<Value>,
    },
    /// With a failure that another attempt may not have.
    Retry {
        /// How long to wait before the next attempt.
        after: Duration,
        /// The failure.
        error: JobError,
    },
    /// With a failure and no attempt left.
    Failed {
        /// The failure.
        error: JobError,
    },
    /// Stopped because its end was asked for.
    Cancelled,
    /// Interrupted without a fault of the job; charges nothing.
    Released,
}

/// What a worker tells of an attempt's end.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// Which attempt.
    pub lease: Lease,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it ran.
    pub execution_time: Duration,
}
