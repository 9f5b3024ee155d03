//! Ports for processes.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context;

/// Below the ports that systems give to outgoing connections: a client that
/// keeps trying could otherwise be given the very port that a server is to use.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// How many ports to look at before giving up.
const LOOKS: usize = 1_000;

/// A port that is free now. Another process may take it before ours does: look
/// at [`was_taken`] then.
///
/// # Errors
///
/// If hardly any port is free.
pub(super) fn free() -> io::Result<u16> {
    (0..LOOKS)
        .map(|_| rand::random_range(RANGE))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| io::ErrorKind::AddrInUse.into())
}

/// Makes sure that a port is free: whoever else answers there could be taken
/// for ours.
///
/// # Errors
///
/// If it is not.
pub(super) fn check_free(port: u16) -> anyhow::Result<()> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map(drop)
        .with_context(|| format!("port {port} is taken: choose another with --port"))
}

/// Whether a process's log says that its port was taken.
pub(super) fn was_taken(log: &str) -> bool {
    log.to_lowercase().contains("address already in use")
}
