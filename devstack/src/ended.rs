//! The end of a server.

use std::process::ExitStatus;

/// What is known of a server that does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What the server is called.
    pub name: &'static str,
    /// Its process; `None` if it ran in a container.
    pub pid: Option<u32>,
    /// How it ended; `None` if nobody was there to see it.
    pub status: Option<ExitStatus>,
    /// The last lines of its log, as one.
    pub last_words: String,
}
