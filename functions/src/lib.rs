//! Jetlane's HTTP side: one axum router, two runtimes.
//!
//! [`router`] is the whole API. [`edge`] serves all of it as a long-lived
//! server; each Lambda function, made by [`lambda`], mounts its part. Handlers
//! are one file per verb under [`jobs`] and [`events`]. Errors become HTTP in
//! [`problem`] and nowhere else.

pub mod app;
pub mod edge;
pub mod events;
pub mod jobs;
pub mod lambda;
pub mod metrics;
pub mod problem;
pub mod router;

mod fields;
mod health;
mod reader;
