//! What the environment, and the file `.env` under it, say to commands.

use anyhow::Context;
use jetlane_core::config::Vars;
use jetlane_devstack::Settings;

use crate::client::Api;

/// The API that is asked if nobody names one.
pub(crate) const DEFAULT_API: &str = "http://127.0.0.1:8000";

/// The address of the API: the one that was typed, or the environment's, or the usual one.
///
/// # Errors
///
/// If `.env` cannot be read, or what the environment says is no address.
pub(crate) fn api_address(typed: Option<&str>) -> anyhow::Result<String> {
    const NAME: &str = "JETLANE_API";

    if let Some(typed) = typed {
        return Ok(typed.to_owned());
    }
    match Vars::from_environment()?.text(NAME) {
        Some(address) => {
            Api::check_address(address).context(NAME)?;
            Ok(address.to_owned())
        }
        None => Ok(DEFAULT_API.to_owned()),
    }
}

/// How to bring up servers, or which are given.
///
/// # Errors
///
/// If `.env` cannot be read, or a variable means nothing.
pub(crate) fn devstack_settings() -> anyhow::Result<Settings> {
    let vars = Vars::from_environment()?;
    let settings = Settings::from_vars(|name| vars.text(name).map(str::to_owned))?;
    // testcontainers reads it as well, and knows no `.env`.
    let docker_host = Settings::from_env()?.docker_host;
    Ok(Settings { docker_host, ..settings })
}
