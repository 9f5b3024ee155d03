//! Ports for servers.

use std::net::{Ipv4Addr, TcpListener};

use uuid::Uuid;

use crate::error::DevstackError;

/// Below the ports that systems give to outgoing connections. While a server is down, a client that
/// keeps trying to reach it could otherwise be given the server's own port, be connected to itself,
/// and keep the server from coming back.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// How many ports to look at before giving up.
const LOOKS: u32 = 1_000;

/// How often to try with other ports after someone took ours.
const TRIES: u32 = 5;

/// `N` different ports that are free now, or an error if hardly any is.
///
/// Another process may take one before the server does: look at [`was_taken`] then.
pub(crate) fn free<const N: usize>() -> std::io::Result<[u16; N]> {
    let mut held = Vec::with_capacity(N);
    for _ in 0..LOOKS {
        if held.len() == N {
            break;
        }
        // Held until all are found, which keeps them different.
        held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, random_port())));
    }
    let ports: Vec<u16> =
        held.iter().map(|held| Ok(held.local_addr()?.port())).collect::<std::io::Result<_>>()?;

    ports.try_into().map_err(|_| std::io::ErrorKind::AddrInUse.into())
}

fn random_port() -> u16 {
    let random = Uuid::now_v7().as_u128() % u128::try_from(RANGE.len()).unwrap_or(1);
    RANGE.start + u16::try_from(random).unwrap_or(0)
}

/// Whether a server's log, or what an engine said, tells that its port was taken.
pub(crate) fn was_taken(log: &str) -> bool {
    let log = log.to_lowercase();
    log.contains("address already in use") || log.contains("port is already allocated")
}

/// Has a server started, with other ports whenever someone has taken its own meanwhile.
pub(crate) async fn until_ports_are_free<T, F>(start: impl Fn() -> F) -> Result<T, DevstackError>
where
    F: Future<Output = Result<T, DevstackError>>,
{
    for _ in 0..TRIES {
        match start().await {
            Err(DevstackError::Exited { log, .. }) if was_taken(&log) => {}
            done => return done,
        }
    }
    start().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_different_free_and_in_the_range() {
        let ports = free::<8>().unwrap();

        let _held: Vec<TcpListener> = ports
            .iter()
            .map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).unwrap())
            .collect();
        assert!(ports.iter().all(|port| RANGE.contains(port)));
    }
}
