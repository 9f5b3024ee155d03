//! What a worker is told.

use std::time::Duration;

use super::vars::invalid;
use super::{ConfigError, Vars};
use crate::domain::LaneName;
use crate::store::Retention;

/// What a worker is told.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerConfig {
    /// The ledger.
    pub database_url: String,
    /// At most so many connections to it, besides the one that renews leases.
    pub database_max_connections: u32,
    /// Doorbells and the feed.
    pub nats_url: String,
    /// The lanes it serves, each once, at least one.
    pub lanes: Vec<LaneName>,
    /// Room for so many attempts at once, each on a GPU of its own.
    pub slots: u16,
    /// How often it looks for work without being woken.
    pub poll_interval: Duration,
    /// How long a claim holds unless renewed.
    pub lease: Duration,
    /// How long the second attempt waits; doubles with every further one.
    pub retry_backoff: Duration,
    /// How long what is kept.
    pub retention: Retention,
    /// Where it serves `/health` and `/metrics`.
    pub host: String,
    /// Where it serves them; 0 picks a free port.
    pub port: u16,
    /// How simulated work behaves.
    pub simulate: SimulateConfig,
    /// How long running attempts may take once the worker drains.
    pub drain_grace: Duration,
}

/// How simulated work behaves unless a job's params say otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimulateConfig {
    /// Takes at least so long.
    pub shortest: Duration,
    /// Takes at most so long.
    pub longest: Duration,
    /// How often it fails, 0 to 1.
    pub failure_rate: f64,
}

/// A lease must outlast some missed renewals.
const SHORTEST_LEASE: Duration = Duration::from_secs(3);

/// A week, which no attempt outlasts.
const LONGEST_SIMULATION_MS: u64 = 604_800_000;

impl WorkerConfig {
    /// Reads the variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first that is missing or wrong.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let mut lanes: Vec<LaneName> = vars.list("LANES", "default")?;
        lanes.sort();
        lanes.dedup();
        if lanes.is_empty() {
            return Err(invalid("LANES", ",", "name at least one lane"));
        }
        let lease = vars.seconds("LEASE", Duration::from_secs(30))?;
        if lease < SHORTEST_LEASE {
            return Err(invalid("LEASE", &lease.as_secs_f64().to_string(), "at least 3 seconds"));
        }
        let is_simulated = vars.flag("GPU_SIMULATION", true)?;
        let slots = vars.number("GPU_COUNT", 4, 0..=u16::MAX)?;
        Ok(Self {
            database_url: vars.database_url()?,
            database_max_connections: vars.database_max_connections(10)?,
            nats_url: vars.nats_url(),
            lanes,
            slots: if is_simulated { slots } else { 0 },
            poll_interval: vars.period("POLL_INTERVAL", Duration::from_secs(5))?,
            lease,
            retry_backoff: vars.seconds("RETRY_BACKOFF", Duration::from_secs(1))?,
            retention: vars.retention()?,
            host: vars.text("WORKER_HOST").unwrap_or("0.0.0.0").to_owned(),
            port: vars.number("WORKER_PORT", 8010, 0..=u16::MAX)?,
            simulate: SimulateConfig::from_vars(vars)?,
            drain_grace: vars.seconds("DRAIN_GRACE", Duration::from_secs(25))?,
        })
    }
}

impl SimulateConfig {
    fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let time = |name, default| vars.number(name, default, 0..=LONGEST_SIMULATION_MS);
        let shortest = Duration::from_millis(time("SIMULATE_MIN_MS", 5_000)?);
        let longest = Duration::from_millis(time("SIMULATE_MAX_MS", 15_000)?);
        if longest < shortest {
            let text = longest.as_millis().to_string();
            return Err(invalid("SIMULATE_MAX_MS", &text, "less than SIMULATE_MIN_MS"));
        }
        let failure_rate = vars.share("SIMULATE_FAILURE_RATE", 0.1)?;
        Ok(Self { shortest, longest, failure_rate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars<const N: usize>(more: [(&str, &str); N]) -> Vars {
        [("DATABASE_URL", "postgresql://u@h/d")].into_iter().chain(more).collect()
    }

    #[test]
    fn unset_variables_have_the_documented_defaults() {
        let config = WorkerConfig::from_vars(&vars([])).unwrap();
        assert_eq!(config.poll_interval, Duration::from_secs(5));
        assert_eq!(config.nats_url, "nats://localhost:4222");
        assert_eq!(config.slots, 4);
        assert_eq!(config.port, 8010);
    }

    #[test]
    fn variables_override_the_defaults() {
        let config = WorkerConfig::from_vars(&vars([
            ("POLL_INTERVAL", "2"),
            ("GPU_COUNT", "7"),
            ("LANES", "gpu, batch,gpu"),
        ]));
        let config = config.unwrap();
        assert_eq!((config.poll_interval, config.slots), (Duration::from_secs(2), 7));
        assert_eq!(config.lanes, ["batch".parse().unwrap(), "gpu".parse().unwrap()]);
    }

    #[test]
    fn without_simulation_there_is_no_slot() {
        let config = WorkerConfig::from_vars(&vars([("GPU_SIMULATION", "false")])).unwrap();
        assert_eq!(config.slots, 0);
    }

    #[test]
    fn without_a_database_it_refuses_to_start() {
        let error = WorkerConfig::from_vars(&Vars::default()).unwrap_err();
        assert_eq!(error.to_string(), "DATABASE_URL is not set");
    }

    #[test]
    fn a_wrong_value_is_named() {
        let error = WorkerConfig::from_vars(&vars([("LANES", "a.b")])).unwrap_err();
        assert!(error.to_string().starts_with("LANES is `a.b`: "), "{error}");
    }
}
