//! What every test stands on: a system of its own, and words to speak about it.
//!
//! ```ignore
//! let app = TestApp::start().workers(1).slots(4).await;
//! let watcher = app.watch().await;
//! let id = app.submit(json!({ "name": "one" })).await;
//! watcher.until_kind(&id, "completed").await;
//! ```
//!
//! Each app has a database, a NATS server and processes of its own. A process
//! that ends although nobody asked it to fails the test at once, whatever it is
//! waiting for; the logs of a failed test's processes are printed.

mod app;
mod client;
mod events;
mod folder;
mod ledger;
mod program;
mod setup;
mod watcher;

pub(crate) use app::TestApp;
pub(crate) use client::{Body, Reply};
pub(crate) use events::{Event, assert_gapless, by_job, kinds, without_repeats};
pub(crate) use folder::{Folder, workspace};
pub(crate) use jetlane_tests::{PATIENCE, PROMPT};
pub(crate) use ledger::Recorded;
pub(crate) use program::{Program, run_to_end};
pub(crate) use setup::Setup;
pub(crate) use watcher::{Watcher, now};
