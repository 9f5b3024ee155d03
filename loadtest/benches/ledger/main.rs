//! The ledger's hot statements against a PostgreSQL of its own, and its claims among millions of jobs.
//!
//! ```text
//! cargo bench -p jetlane-loadtest --bench ledger
//! cargo bench -p jetlane-loadtest --bench ledger -- accept
//! cargo bench -p jetlane-loadtest --bench ledger -- --quick
//! ```
//!
//! To write the millions takes minutes and 20 GB: `--quick` leaves them out.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails says where")]

mod among;
mod given;
mod life;

use criterion::{criterion_group, criterion_main};

criterion_group!(benches, life::life, among::among);
criterion_main!(benches);
