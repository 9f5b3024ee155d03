//! What the ledger promises, one statement at a time, on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "the tests' own helpers may fail the test")]

mod accepting;
mod cancelling;
mod changing;
mod claiming;
mod feed;
mod given;
mod isolating;
mod keys;
mod outbox;
mod pool;
mod pruning;
mod ranking;
mod reaping;
mod redriving;
mod renewing;
mod repeating;
mod settling;
mod sharing;
