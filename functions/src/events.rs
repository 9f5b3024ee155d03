//! `/events` and `/jobs/{id}/events`: watching, as server-sent events.
//!
//! Every watcher of a process is fed by one [`Hub`], which puts the live feed
//! in order and repairs it from the ledger. A watcher that asks for the past
//! is given it from the ledger first.

mod frame;
mod hub;
mod order;
mod route;
mod watcher;

pub use hub::Hub;
pub(crate) use route::{all, of_job};
