//! `jetlane migrate`: brings the ledger's schema up to date.

use anyhow::Context;
use jetlane_core::store;
use serde_json::json;

use crate::output::{self, Format};

/// The arguments of `migrate`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The ledger: postgresql://…
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: String,
}

/// Applies the migrations that the ledger lacks, and prints how many those were.
///
/// # Errors
///
/// If the ledger is out of reach or a migration fails. Those before it stay applied.
pub(crate) async fn run(args: &Args, format: Format) -> anyhow::Result<()> {
    let applied = store::migrate(&args.database_url).await.context("cannot migrate the ledger")?;
    match (format, applied) {
        (Format::Json, _) => output::print_json(&json!({ "applied": applied }))?,
        (Format::Text, 0) => output::print("the ledger is up to date")?,
        (Format::Text, 1) => output::print("1 migration applied")?,
        (Format::Text, _) => output::print(format_args!("{applied} migrations applied"))?,
    }
    Ok(())
}
