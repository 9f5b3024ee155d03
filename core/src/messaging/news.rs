//! What the log is told of the connection to NATS: one line when it is not there after the start,
//! one when it is lost, one when it is there; however many attempts that takes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_nats::{Server, ServerAddr};

/// What there is to tell, and what has been told.
#[derive(Debug, Default)]
pub(super) struct News(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How many attempts have begun since there was no connection.
    attempts: u32,
    /// Whether the log knows that there is none.
    is_told: bool,
    /// What the client said of the last attempt. Less than the server's own last error.
    complaint: Option<String>,
}

impl News {
    /// An attempt to connect to one of `servers` is about to begin: those before it were in vain.
    pub(super) fn attempt(&self, servers: &[Server]) {
        let mut state = self.lock();
        state.attempts += 1;
        if state.attempts == 1 || state.is_told {
            return;
        }
        let error = servers.iter().find_map(|server| server.last_error.clone());
        // A complaint comes by another way, and may be later than the attempt after it.
        let Some(error) = error.or_else(|| state.complaint.take()) else { return };
        state.is_told = true;
        let address = addresses(servers.iter().map(|server| &server.addr));
        tracing::warn!(address, error, "cannot reach NATS; trying on");
    }

    /// The client complains.
    pub(super) fn complaint(&self, text: String) {
        self.lock().complaint = Some(text);
    }

    /// There is a connection.
    pub(super) fn connected(&self, address: &str) {
        tracing::info!(address, "connected to NATS");
        *self.lock() = State::default();
    }

    /// There is none any more.
    pub(super) fn lost(&self, address: &str) {
        tracing::warn!(address, "lost the connection to NATS; trying on");
        *self.lock() = State { is_told: true, ..State::default() };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hosts and ports, and no passwords.
pub(super) fn addresses<'a>(addresses: impl Iterator<Item = &'a ServerAddr>) -> String {
    let addresses = addresses.map(|address| format!("{}:{}", address.host(), address.port()));
    addresses.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_without_its_password() {
        let servers = ["nats://user:secret@10.0.0.1:4333", "tls://h"];
        let servers = servers.map(|server| server.parse::<ServerAddr>().unwrap());
        assert_eq!(addresses(servers.iter()), "10.0.0.1:4333,h:4222");
    }
}
