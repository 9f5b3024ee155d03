//! What a lane's policy says, and what it may be changed to.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{LaneName, RetryPolicy, TenantName, optional_rfc3339};

/// A lane and its policy, as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lane {
    /// Its name.
    pub name: LaneName,
    /// Since when it gives out no job; `None` while it does.
    #[serde(with = "optional_rfc3339")]
    pub paused_at: Option<DateTime<Utc>>,
    /// So many jobs of one tenant may wait in it at most.
    pub max_waiting: Option<i32>,
    /// How many jobs are started in it at most.
    pub rate: Option<Rate>,
    /// A waiting job gains one step of priority in so many seconds.
    pub ageing: Option<i32>,
    /// How many charged failures make a dead letter of a job that does not say so.
    pub max_attempts: Option<i32>,
    /// What follows a failed attempt of a job that does not say so.
    pub retry: RetryPolicy,
    /// The tenants that get more of it than others.
    pub shares: Vec<Share>,
}

/// How many jobs are started at most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// In the long run.
    pub per_second: f64,
    /// At once, after a pause.
    pub burst: i32,
}

/// How much of a lane a tenant gets while several have jobs waiting there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Whose share.
    pub tenant: TenantName,
    /// Against those of the others; 1 unless set.
    pub weight: i32,
}

/// What is to be changed of a lane's policy. `None` leaves a field as it is,
/// `Some(None)` takes the rule away.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LanePatch {
    /// So many jobs of one tenant may wait in it at most.
    pub max_waiting: Option<Option<i32>>,
    /// How many jobs are started in it at most.
    pub rate: Option<Option<Rate>>,
    /// A waiting job gains one step of priority in so many seconds.
    pub ageing: Option<Option<i32>>,
    /// How many charged failures make a dead letter.
    pub max_attempts: Option<Option<i32>>,
    /// What follows a failed attempt; replaced whole.
    pub retry: Option<RetryPolicy>,
}

/// How many jobs of a concurrency key run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConcurrencyLimit {
    /// So many; none at all is a way to hold a key's jobs back.
    Parallel(i32),
    /// One, and the next only once it is final, retries included.
    Sequential,
}
