//! What devstack promises, with real servers.

mod databases;
mod given;
mod nats;
mod orphans;
mod servers;
