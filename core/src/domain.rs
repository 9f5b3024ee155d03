//! What Jetlane is about, without I/O: jobs, lanes, attempts, leases, events.

mod event;
mod ids;
mod job;
mod lane;
mod names;
mod retry;
mod state;
mod timestamp;
mod tool;

pub use event::{Announcement, Change, Event, EventKind, INLINE_RESULT_LIMIT, ResumePoint, Unsent};
pub use ids::{JobId, WorkerId};
pub use job::{
    Claimed, ErrorKind, Frees, Idempotency, Job, JobError, JobPatch, Lease, NewJob, Outcome, RunAt,
    Settlement,
};
pub use lane::{ConcurrencyLimit, Lane, LanePatch, Rate, Share};
pub use names::{InvalidName, LaneName, TenantName};
pub use retry::RetryPolicy;
pub use state::{InvalidTransition, JobState, Transition, UnknownSpelling};
pub use timestamp::{format_timestamp, optional_rfc3339, rfc3339};
pub use tool::Tool;
