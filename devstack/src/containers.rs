//! Servers in containers of a Docker engine on this machine, through testcontainers.
//!
//! By default containers are tried where no program was found, and wheels come after them. So an
//! engine that does not answer at once, or lacks the image, is passed over: what a wheel brings in
//! seconds is not worth an unasked download, nor a wait for an engine that may never wake. Who names
//! `containers` in `JETLANE_DEVSTACK` wants them, and gets the image pulled.
//!
//! What a container holds goes with it, so it never serves data that is to be kept: where a folder
//! is given, containers are passed over. Its content would belong to the users of an image, and
//! could no longer be opened by the programs that made it.
//!
//! testcontainers removes a container when its handle is dropped, which a killed process does not
//! do; so a [guard] of ours does, which asks the engine by curl.

mod container;
mod engine;
mod guard;
mod recipe;

use std::time::Duration;

use testcontainers::core::client::docker_client_instance;
use testcontainers::core::error::ClientError;
use tokio::time::timeout;

use crate::folder::Data;
use crate::last_words::of_error;
use crate::settings::{Pull, Settings};
use crate::sources::{Found, Offer};

pub(crate) use container::Container;
pub(crate) use engine::Engine;
pub(crate) use recipe::{Base, Recipe};

/// How long an engine that is well takes at most for a small answer.
const PROMPT: Duration = Duration::from_secs(3);

/// How long a download may take.
const DOWNLOAD: Duration = Duration::from_mins(10);

/// The engine, if it has `image` or may pull it. Pulls nothing.
///
/// # Errors
///
/// Why there is no such container to be had, as a fragment for a longer message.
pub(crate) async fn look(image: &str, settings: &Settings, data: &Data) -> Result<Offer, String> {
    if let Data::Kept(folder) = data {
        return Err(format!("containers keep no data, and {} is to be kept", folder.display()));
    }
    let engine = Engine::find(settings).await?;

    if has(image).await? {
        return Ok(Offer::Ready(Found::Engine(engine)));
    }
    match settings.pull {
        Pull::Never => Err(format!("the Docker engine has no image {image}")),
        Pull::Missing => Ok(Offer::Image(engine)),
    }
}

/// Whether the engine has `image`.
async fn has(image: &str) -> Result<bool, String> {
    let ask = async {
        let docker = docker_client_instance().await?;
        match docker.inspect_image(image).await {
            Ok(_) => Ok(true),
            Err(error) if engine::is_missing(&error) => Ok(false),
            Err(error) => Err(ClientError::Init(error)),
        }
    };
    match timeout(PROMPT, ask).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(of_error(&error)),
        Err(_) => Err(format!("the Docker engine does not answer within {} s", PROMPT.as_secs())),
    }
}

/// Has the engine pull `image`.
///
/// # Errors
///
/// Why it did not, as a fragment for a longer message.
pub(crate) async fn pull(image: &str) -> Result<(), String> {
    match timeout(DOWNLOAD, recipe::pull(image)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(of_error(&error)),
        Err(_) => Err(format!("{image} was not pulled within {} s", DOWNLOAD.as_secs())),
    }
}
