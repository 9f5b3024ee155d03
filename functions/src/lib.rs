//! Jetlane's HTTP side: one axum router, two runtimes.
//!
//! [`router`] is the whole API. [`edge`] serves all of it as a long-lived
//! server; each Lambda function, made by [`lambda`], mounts its part. Handlers
//! are one file per verb under [`jobs`] and [`events`]; [`ingest`] makes jobs of
//! events that are no requests. Errors become HTTP in
//! [`problem`] and nowhere else.

pub mod accepting;
pub mod app;
pub mod edge;
pub mod events;
pub mod ingest;
pub mod jobs;
pub mod lambda;
pub mod metrics;
pub mod problem;
pub mod router;

mod dead_letters;
mod fields;
mod health;
mod lanes;
mod page;
mod reader;
mod sockets;
