//! What can go wrong, each in one line.

use std::io;
use std::path::PathBuf;

use crate::version::Version;

/// Why there is no server, or no database.
///
/// Whatever was started on the way has been stopped and removed again.
#[derive(Debug, thiserror::Error)]
pub enum DevstackError {
    /// A variable whose value means nothing.
    #[error("{name}={value}: {expected}")]
    Setting {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// No source had the server.
    #[error("no {product} {minimum} or newer: {tried}; {remedies}")]
    Unavailable {
        /// The server.
        product: &'static str,
        /// The oldest version that will do.
        minimum: String,
        /// What was tried, and why it did not help.
        tried: String,
        /// What would help.
        remedies: String,
    },
    /// The server that was given does not answer.
    #[error("the server at {variable} does not answer")]
    GivenSilent {
        /// The variable that gave it.
        variable: &'static str,
        /// What the attempt came to.
        source: anyhow::Error,
    },
    /// The server that was given is not what we need.
    #[error("the server at {variable} cannot be used: {reason}")]
    GivenUnfit {
        /// The variable that gave it.
        variable: &'static str,
        /// What is amiss.
        reason: String,
    },
    /// The server in an image is not what we need. Its container was removed again.
    #[error("{variable}={image}: {reason}")]
    ImageUnfit {
        /// The variable that names the image.
        variable: &'static str,
        /// The image.
        image: String,
        /// What is amiss.
        reason: String,
    },
    /// The container engine did not do as it was asked.
    #[error("cannot {action}")]
    Engine {
        /// What it was asked.
        action: String,
        /// What it answered, if it did.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Asked to kill or start a server that was given to us.
    #[error("the server at {variable} is not ours to kill or start")]
    NotOurs {
        /// The variable that gave it.
        variable: &'static str,
    },
    /// A file, a folder or a process could not be had.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A helper program ended badly.
    #[error("cannot {action}: {said}")]
    Helper {
        /// What it was to do.
        action: String,
        /// The last line it printed.
        said: String,
    },
    /// What was downloaded is not what was pinned. It was removed.
    #[error("{file} has SHA-256 {found}, not {expected}")]
    HashMismatch {
        /// The downloaded file.
        file: String,
        /// What was pinned.
        expected: &'static str,
        /// What came.
        found: String,
    },
    /// Someone else's server works on the folder.
    #[error("{folder} is in use by process {pid}")]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The process that holds it.
        pid: String,
    },
    /// Root starts servers as another user, and that user cannot get at the folder.
    #[error("{folder} cannot be reached by uid {uid}, as which root starts servers")]
    Unreachable {
        /// The folder.
        folder: PathBuf,
        /// The user.
        uid: u32,
    },
    /// The server ended before it was ready.
    #[error("{product} did not start: {log}")]
    Exited {
        /// The server.
        product: &'static str,
        /// The last lines of its log, as one.
        log: String,
    },
    /// The server did not get ready, stop, or die in time.
    #[error("{product} did not {action} within {seconds} s")]
    TooSlow {
        /// The server.
        product: &'static str,
        /// What it was to do.
        action: &'static str,
        /// How long it had.
        seconds: u64,
    },
    /// PostgreSQL refused a statement.
    #[error("cannot {action}")]
    Sql {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: sqlx::Error,
    },
    /// A name that we do not quote.
    #[error("{0:?} is no database name: use 1 to 63 of a-z, 0-9 and _, starting with a letter")]
    DatabaseName(String),
    /// The caller's own part of filling a template failed.
    #[error("cannot fill the template database")]
    Prepare(#[source] anyhow::Error),
}

impl DevstackError {
    /// For `map_err` on I/O: "cannot `action`".
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { action: action.into(), source }
    }

    /// For `map_err` on SQL: "cannot `action`".
    pub(crate) fn sql(action: impl Into<String>) -> impl FnOnce(sqlx::Error) -> Self {
        |source| Self::Sql { action: action.into(), source }
    }

    /// A given server of version `found` is too old.
    pub(crate) fn too_old(variable: &'static str, found: Version, minimum: Version) -> Self {
        Self::GivenUnfit { variable, reason: older(found, minimum) }
    }
}

/// What is amiss with version `found`.
pub(crate) fn older(found: Version, minimum: Version) -> String {
    format!("version {found} is older than {minimum}")
}
