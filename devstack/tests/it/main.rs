//! What devstack promises, with real servers.

#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

mod containers;
mod databases;
mod given;
mod nats;
mod orphans;
mod servers;
