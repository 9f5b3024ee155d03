//! Functions on this machine as AWS runs them: an HTTP gateway, instances that
//! are real processes, and the Runtime API that they ask for invocations.
//!
//! ```text
//! client ── HTTP ──▶ Gateway ── event ──▶ Instance ◀── Runtime API ── process
//! ```
//!
//! An instance has one invocation at a time, and is frozen between them: it is
//! stopped before it is told that its answer was taken, and goes on when the
//! next invocation is handed over. Nothing of it runs in between, and its
//! connections age meanwhile.
//!
//! Left out: streamed answers, SQS and the other sources of events, and more
//! instances as more are needed.

mod answer;
mod event;
mod gateway;
mod instance;
mod runtime_api;
mod stage;

pub use gateway::{Gateway, Limits};
pub use instance::{Instance, NoAnswer};
