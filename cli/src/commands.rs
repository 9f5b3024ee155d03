//! One file per command.

pub(crate) mod cancel;
pub(crate) mod dead;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod doctor;
pub(crate) mod jobs;
pub(crate) mod lanes;
pub(crate) mod migrate;
pub(crate) mod processes;
pub(crate) mod submit;
pub(crate) mod watch;

use std::process::ExitCode;

use crate::args::{Cli, Command};
use crate::client::Api;
use crate::environment;
use crate::output::Format;

/// Runs the command.
///
/// # Errors
///
/// Why it did not do all that it was asked.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let format = Format::from_flag(cli.json);
    let address = || environment::api_address(cli.api.as_deref());
    let api = || Api::new(&address()?);

    match cli.command {
        Command::Demo(args) => return demo::run(&args, format).await,
        Command::Doctor(args) => return doctor::run(&args, &address()?, format).await,
        Command::Dev(args) => Box::pin(dev::run(args, format)).await,
        Command::Submit(args) => submit::run(*args, api()?, format).await,
        Command::Watch(args) => watch::run(args, api()?, format).await,
        Command::Jobs(args) => jobs::run(args, api()?, format).await,
        Command::Cancel(args) => cancel::run(args, api()?, format).await,
        Command::Dead(args) => dead::run(args, api()?, format).await,
        Command::Redrive(args) => dead::redrive(args, api()?, format).await,
        Command::Lanes(args) => lanes::run(args, api()?, format).await,
        Command::Migrate(args) => migrate::run(args, format).await,
        Command::Edge(args) => processes::edge(args, format).await,
        Command::Worker(args) => processes::worker(args, format).await,
    }?;
    Ok(ExitCode::SUCCESS)
}
