//! The campaign's own way to the ledger, past every proxy.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

/// How long to wait for a connection.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(3);

/// A few connections that say whose they are, and that may rest.
pub(super) fn connect(url: &str) -> anyhow::Result<PgPool> {
    let options: PgConnectOptions = url.parse()?;
    let options = options.application_name("campaign");
    let options = options.options([("statement_timeout", "60s"), ("idle_session_timeout", "0")]);
    Ok(PgPoolOptions::new()
        .max_connections(6)
        .acquire_timeout(ACQUIRE_LIMIT)
        .connect_lazy_with(options))
}
