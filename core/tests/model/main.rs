//! The core as a model: what a job's life, its leases and its events are
//! supposed to be, checked by chance and against the real ledger.
//!
//! * `spec` is the model: pure, without I/O.
//! * `chance` runs 200,000 random histories through it and checks each step.
//! * `fleet` simulates workers that crash, freeze, and whose messages are late
//!   or doubled, and checks that every job ends once.
//! * `refinement` does to PostgreSQL what it does to the model, and compares.

#![expect(clippy::unwrap_used, reason = "the tests' own helpers may fail the test")]

mod chance;
mod fleet;
mod refinement;
mod spec;
