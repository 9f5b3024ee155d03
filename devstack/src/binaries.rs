//! Programs on this machine: which there are, and whether they are new enough.

use std::env::split_paths;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::account::Account;
use crate::product::Product;
use crate::program;
use crate::settings::Settings;
use crate::version::Version;

/// Far longer than a program needs to say its version.
const LIMIT: Duration = Duration::from_secs(10);

/// Where Debian keeps its servers, off `PATH`, one folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The first folder that holds `product`'s programs, new enough and runnable by `account`.
///
/// # Errors
///
/// Why there is none, as a fragment for a longer message.
pub(crate) async fn find(
    product: &Product,
    settings: &Settings,
    cache: &Path,
    account: Option<Account>,
) -> Result<PathBuf, String> {
    let mut too_old = String::new();
    for folder in candidates(settings, cache) {
        match version(product, &folder, account).await {
            Some(version) if version >= product.minimum => return Ok(folder),
            Some(version) if too_old.is_empty() => {
                too_old = format!(" ({version} in {} is too old)", folder.display());
            }
            _ => {}
        }
    }
    Err(format!("no {} in {} or on PATH{too_old}", product.programs.join(" and "), cache.display()))
}

fn candidates(settings: &Settings, cache: &Path) -> impl Iterator<Item = PathBuf> {
    let path: Vec<PathBuf> = split_paths(&settings.path).filter(|at| at.is_absolute()).collect();
    let debian = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut debian: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin")).collect();
    debian.sort();

    [cache.join("bin")].into_iter().chain(path).chain(debian.into_iter().rev())
}

/// The version of the `product` in `folder`, if it is there and can be run.
pub(crate) async fn version(
    product: &Product,
    folder: &Path,
    account: Option<Account>,
) -> Option<Version> {
    if !product.programs.iter().all(|name| folder.join(name).is_file()) {
        return None;
    }
    let server = folder.join(product.programs[0]);
    let said = program::output(&server, &["--version"], account, LIMIT).await.ok()?;

    Version::find(&said)
}
