//! The long-lived GPU worker.
//!
//! ```text
//!             bells ──┐                       ┌── attempt ── tool
//!  freed slots, sweep ┼─► dispatcher ─ claim ─┼── attempt ── tool
//!      link comes up ─┘                       └── attempt ── tool
//!                                                   │  ▲
//!                                          settle ◄─┘  └─ leases (own thread)
//! ```
//!
//! * [`run()`] puts the parts together, and takes them down again.
//! * `dispatcher` owns the slots and is the only one that claims; `board`
//!   decides where it looks, `shares` for whom, `bells` wakes it.
//! * `attempt` carries one claimed job out, from its start to its settlement.
//! * `leases` keeps what is held alive, from a thread that no job can starve.
//! * `tools` do the work.
//! * `duties` look after jobs that no worker holds: any number of workers may
//!   carry them out, at any time.
//!
//! The ledger decides everything. What this crate knows of it may be old: each
//! write says which attempt it belongs to and looks at what came back.

mod attempt;
mod backoff;
mod bells;
mod board;
mod dispatcher;
mod duties;
mod http;
mod leases;
mod metrics;
mod outcome;
mod registration;
mod run;
mod settle;
mod shares;
mod slots;
mod supervise;
mod tools;
mod workbench;

pub use run::run;
