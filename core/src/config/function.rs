//! What a Lambda function is told.

use super::{ConfigError, Vars};
use crate::store::Retention;

/// What a Lambda function is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionConfig {
    /// The ledger.
    pub database_url: String,
    /// At most so many connections to it: an instance serves one request at a time.
    pub database_max_connections: u32,
    /// The feed.
    pub nats_url: String,
    /// The origins whose pages may call.
    pub cors_origins: Vec<String>,
    /// What absolute URLs begin with, if not what the request says.
    pub public_url: Option<String>,
    /// `s3`: which objects make which jobs, a JSON list.
    pub s3_rules: String,
    /// `schedule`: the job of events that describe none, a JSON object.
    pub schedule_job: Option<String>,
    /// `sweep`: how long what is kept.
    pub retention: Retention,
}

impl FunctionConfig {
    /// Reads the variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first that is missing or wrong.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        Ok(Self {
            database_url: vars.database_url()?,
            database_max_connections: vars.database_max_connections(1)?,
            nats_url: vars.nats_url(),
            cors_origins: vars.list("CORS_ORIGINS", "http://localhost:3000")?,
            public_url: vars.text("PUBLIC_URL").map(|url| url.trim_end_matches('/').to_owned()),
            s3_rules: vars.text("S3_RULES").unwrap_or("[]").to_owned(),
            schedule_job: vars.text("SCHEDULE_JOB").map(str::to_owned),
            retention: vars.retention()?,
        })
    }
}
