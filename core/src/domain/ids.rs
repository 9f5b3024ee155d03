//! Identities.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The identity of a job: a `UUIDv7`, so ids sort by the time they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl JobId {
    /// The smallest id that can be made so long before this one was.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        // The first 48 bits of a UUIDv7 are milliseconds.
        let made_ms = self.0.as_u128() >> 80;
        Self(Uuid::from_u128(made_ms.saturating_sub(span.as_millis()) << 80))
    }
}

/// The identity of one run of a worker process. A restarted worker is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(pub Uuid);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl FromStr for WorkerId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_since_then_are_greater() {
        let id: JobId = "01923f0e-1000-7abc-8def-0123456789ab".parse().unwrap();
        assert_eq!(id.before(Duration::ZERO).to_string(), "01923f0e-1000-0000-0000-000000000000");
        assert_eq!(
            id.before(Duration::from_millis(1)).to_string(),
            "01923f0e-0fff-0000-0000-000000000000"
        );
        assert_eq!(id.before(Duration::MAX), JobId(Uuid::nil()));
    }
}
