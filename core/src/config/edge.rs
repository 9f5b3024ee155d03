//! What `edge` is told.

use std::time::Duration;

use super::{ConfigError, Vars};

/// What `edge` is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeConfig {
    /// The ledger.
    pub database_url: String,
    /// At most so many connections to it.
    pub database_max_connections: u32,
    /// The feed.
    pub nats_url: String,
    /// Where to listen.
    pub host: String,
    /// Where to listen; 0 picks a free port.
    pub port: u16,
    /// The origins whose pages may call.
    pub cors_origins: Vec<String>,
    /// What absolute URLs begin with, if not what the request says.
    pub public_url: Option<String>,
    /// How often the relay looks without being woken.
    pub poll_interval: Duration,
    /// How long open requests may take once the server drains.
    pub drain_grace: Duration,
}

impl EdgeConfig {
    /// Reads the variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first that is missing or wrong.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        Ok(Self {
            database_url: vars.database_url()?,
            database_max_connections: vars.database_max_connections(10)?,
            nats_url: vars.nats_url(),
            host: vars.text("HOST").unwrap_or("0.0.0.0").to_owned(),
            port: vars.number("PORT", 8000, 0..=u16::MAX)?,
            cors_origins: vars.list("CORS_ORIGINS", "http://localhost:3000")?,
            public_url: vars.text("PUBLIC_URL").map(|url| url.trim_end_matches('/').to_owned()),
            poll_interval: vars.period("POLL_INTERVAL", Duration::from_secs(5))?,
            drain_grace: vars.seconds("DRAIN_GRACE", Duration::from_secs(25))?,
        })
    }
}
