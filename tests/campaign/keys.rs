//! The concurrency keys of the load: what each lets run is told by its name.

use anyhow::ensure;
use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::Client;
use serde_json::{Value, json};

use crate::world::TENANTS;

/// How many jobs of a key run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// So many.
    Parallel(usize),
    /// One, until it is final.
    Sequential,
}

/// Each tenant has one of each.
const LIMITS: [(&str, Limit); 3] =
    [("one", Limit::Parallel(1)), ("two", Limit::Parallel(2)), ("sequence", Limit::Sequential)];

/// One of the keys, and its limit.
pub(crate) fn any(rng: &mut StdRng) -> (&'static str, Limit) {
    LIMITS[rng.random_range(0..LIMITS.len())]
}

/// The limit of a key.
pub(crate) fn limit(key: &str) -> Limit {
    let named = LIMITS.iter().find(|(name, _)| *name == key);
    named.map_or(Limit::Parallel(1), |(_, limit)| *limit)
}

/// Tells the product the limits of those keys that are not as keys are by
/// themselves.
///
/// # Errors
///
/// If it did not take one.
pub(crate) async fn set_limits(http: &Client, edge: &str) -> anyhow::Result<()> {
    for (name, limit) in LIMITS {
        let body: Value = match limit {
            Limit::Parallel(1) => continue,
            Limit::Parallel(most) => json!({ "limit": most }),
            Limit::Sequential => json!({ "sequential": true }),
        };
        for tenant in TENANTS {
            let put = http.put(format!("{edge}/concurrency-keys/{name}")).json(&body);
            let answer = put.header("x-jetlane-tenant", tenant).send().await?;
            ensure!(answer.status().is_success(), "{name}: {}", answer.status());
        }
    }
    Ok(())
}
