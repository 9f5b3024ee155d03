//! The wall clock as an argument.
//!
//! It only stamps what people read (`committed_at`, `published_at`, `sent_at`)
//! and makes job ids. Leases and due times are PostgreSQL's to decide.

use std::fmt;

use chrono::{DateTime, Utc};

/// Tells the time of day.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}
