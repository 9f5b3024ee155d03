//! Why the ledger did not do what was asked.

use std::sync::Arc;

use super::Acceptance;
use crate::domain::LaneName;

/// Why the ledger did not do what was asked. Not finding a job is no error.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The statement failed or its answer did not come. Unless the database
    /// refused it, whether it took effect is unknown.
    #[error("ledger statement")]
    Database(#[from] sqlx::Error),
    /// A row does not say what the schema promises.
    #[error("corrupt column {column} of {row}")]
    Corrupt {
        /// Which row.
        row: String,
        /// Which column.
        column: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing was written: no such lane.
    #[error("unknown lane {0}")]
    UnknownLane(LaneName),
    /// Nothing was written: some of these jobs were refused, and it was to be
    /// all or nothing.
    #[error("some of the jobs were refused")]
    NotAll(Vec<Acceptance>),
    /// Nothing was written: another request with one of the idempotency keys is
    /// under way.
    #[error("an idempotency key is in use")]
    KeyInUse,
    /// The process stopped while a transaction of its own was under way.
    #[error("transaction was abandoned")]
    Abandoned,
    /// The statement was about several callers' wishes: what became of all.
    #[error("together with others")]
    Together(#[source] Arc<Self>),
}

impl StoreError {
    /// What came of a statement that was about so many callers' wishes, for each.
    #[must_use]
    pub fn for_each_of(self, count: usize) -> Vec<Self> {
        let error = Arc::new(self);
        std::iter::repeat_with(|| Self::Together(Arc::clone(&error))).take(count).collect()
    }

    /// Whether the ledger was out of reach or too busy, rather than at fault:
    /// the same call may succeed later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
                // Connection, resource and operator classes, and lock trouble.
                ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
                    // Serialisation, deadlock, lock and transaction time-outs, a standby.
                    || matches!(&*code, "40001" | "40P01" | "55P03" | "25P03" | "25006")
            }),
            Self::Database(error) => matches!(
                error,
                sqlx::Error::Io(_)
                    | sqlx::Error::Tls(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::WorkerCrashed
                    | sqlx::Error::Protocol(_)
            ),
            Self::KeyInUse | Self::Abandoned => true,
            Self::Together(error) => error.is_unavailable(),
            Self::Corrupt { .. } | Self::UnknownLane(_) | Self::NotAll(_) => false,
        }
    }

    /// Whether the connection is of no use any more.
    pub(super) fn is_connection_lost(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
                // The server ended it: shut down, crashed, or told so by a person or a limit.
                code.starts_with("08") || code.starts_with("57P") || code == "25P03"
            }),
            Self::Database(error) => matches!(
                error,
                sqlx::Error::Io(_)
                    | sqlx::Error::Tls(_)
                    | sqlx::Error::WorkerCrashed
                    | sqlx::Error::Protocol(_)
            ),
            _ => false,
        }
    }

    /// Whether the schema is another than this program's: it lacks something.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => {
                // An undefined table, column or function.
                error.code().is_some_and(|code| matches!(&*code, "42P01" | "42703" | "42883"))
            }
            Self::Together(error) => error.is_outdated(),
            _ => false,
        }
    }

    /// Whether the ledger looked at the values and does not take them: the same
    /// call will not succeed later.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
                // Data exceptions, program limits, a CHECK.
                code.starts_with("22") || code.starts_with("54") || code == "23514"
            }),
            Self::Database(sqlx::Error::Encode(_)) => true,
            Self::Together(error) => error.is_refusal(),
            _ => false,
        }
    }

    pub(super) fn corrupt(
        row: &impl ToString,
        column: &'static str,
    ) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> Self {
        let row = row.to_string();
        move |source| Self::Corrupt { row, column, source }
    }
}
