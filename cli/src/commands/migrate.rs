//! `jetlane migrate`: brings the ledger's schema up to date.

use anyhow::Context;
use jetlane_core::config::Vars;
use jetlane_core::store;
use serde_json::json;

use crate::output::{self, Format};
use crate::values::BadArgument;

/// The arguments of `migrate`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, help = "The ledger: postgresql://… [env: DATABASE_URL]", value_name = "URL")]
    database_url: Option<String>,
}

/// Applies the migrations that the ledger lacks, and prints how many those were.
///
/// # Errors
///
/// If there is no ledger or it is out of reach, or if a migration fails. Those before it stay
/// applied.
pub(crate) async fn run(args: Args, format: Format) -> anyhow::Result<()> {
    let url = database_url(args)?;
    let applied = store::migrate(&url).await.context("cannot migrate the ledger")?;
    match (format, applied) {
        (Format::Json, _) => output::print_json(&json!({ "applied": applied }))?,
        (Format::Text, 0) => output::print("the ledger is up to date")?,
        (Format::Text, 1) => output::print("1 migration applied")?,
        (Format::Text, _) => output::print(format_args!("{applied} migrations applied"))?,
    }
    Ok(())
}

fn database_url(args: Args) -> anyhow::Result<String> {
    let Some(typed) = args.database_url else {
        let url = Vars::from_environment()?.database_url();
        return url.context("the ledger is named by --database-url or DATABASE_URL");
    };
    // Not the value: it may hold a password.
    let rule = "--database-url must begin with postgresql://";
    let url = Vars::from_iter([("DATABASE_URL", typed)]).database_url();
    Ok(url.map_err(|_| BadArgument(rule.to_owned()))?)
}
