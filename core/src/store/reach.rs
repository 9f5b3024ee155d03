//! Whether the ledger can be reached, and why not.
//!
//! A pool tries again for as long as a caller is willing to wait, and then says no more than that
//! this took too long. Here one connection is tried, and what it came to is told.

use std::time::Duration;

use anyhow::Context;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::time::{sleep, timeout};

use super::Ledger;
use crate::causes;

/// How long one attempt may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

impl Ledger {
    /// Waits until a connection can be made, and returns whether it could be at once. Why it cannot
    /// is logged once for each reason, and once that it can.
    pub async fn until_reached(&self) -> bool {
        let options = self.connections.options();
        let address = address(options);
        let mut told = None;
        while let Err(error) = reach(options).await {
            let error = causes(&error);
            if told.as_ref() != Some(&error) {
                tracing::warn!(address, error, "cannot reach the ledger; trying on");
                told = Some(error);
            }
            sleep(PAUSE).await;
        }
        if told.is_some() {
            tracing::info!(address, "reached the ledger");
        }
        told.is_none()
    }
}

async fn reach(options: &PgConnectOptions) -> anyhow::Result<()> {
    let connection = timeout(LIMIT, options.connect()).await;
    // It has been made; how it ends does not matter.
    drop(connection.context("no answer")??.close().await);
    Ok(())
}

/// Where the ledger is, without a user or a password.
pub(super) fn address(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_default();
    format!("{}:{}/{database}", options.get_host(), options.get_port())
}
