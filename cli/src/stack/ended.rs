//! A part of the stack that ended without having been told to.

use std::fmt;
use std::process::ExitStatus;

/// A process or a server that ended without having been told to. Shown on one line.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(super) name: String,
    /// `None` if it was none of this machine.
    pub(super) pid: Option<u32>,
    /// `None` if nobody saw how.
    pub(super) status: Option<ExitStatus>,
    /// The last lines that it wrote.
    pub(super) last_words: String,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(pid) = self.pid {
            write!(f, " (process {pid})")?;
        }
        f.write_str(" ended")?;
        if let Some(status) = self.status {
            write!(f, ": {status}")?;
        }
        if self.last_words.is_empty() { Ok(()) } else { write!(f, "; {}", self.last_words) }
    }
}

impl From<jetlane_devstack::Ended> for Ended {
    fn from(ended: jetlane_devstack::Ended) -> Self {
        let jetlane_devstack::Ended { name, pid, status, last_words } = ended;
        Self { name: name.to_owned(), pid, status, last_words }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_told() {
        let ended = |pid, last_words: &str| {
            let (name, last_words) = ("nats-server".to_owned(), last_words.to_owned());
            Ended { name, pid, status: None, last_words }.to_string()
        };
        assert_eq!(ended(None, ""), "nats-server ended");
        assert_eq!(ended(Some(7), "no room"), "nats-server (process 7) ended; no room");
    }
}
