//! From the ledger to the feed.
//!
//! Whoever commits a change announces it: publishes it at once and strikes it
//! out of the outbox. What is left there, because NATS was away or the process
//! died, the relay of any process sends later.

mod announcer;
mod marker;
mod metrics;
mod relay;

pub use announcer::{Announcer, announcer};
pub use marker::Marker;
pub use metrics::OutboxMetrics;
pub use relay::{Relay, Relayed};
