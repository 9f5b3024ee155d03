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

#[cfg(test)]
mod tests {
    use std::process::Command;

    use uuid::Uuid;

    use super::*;
    use crate::product::POSTGRESQL;

    /// Written by another process: a file that is open for writing cannot be run, and a program
    /// that a parallel test starts would inherit it open.
    fn given_postgres(folder: &Path, version: &str) {
        let script = format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n");
        let write = r#"mkdir -p "$1" && cd "$1" && printf %s "$2" >postgres && cp postgres initdb \
            && chmod 755 postgres initdb"#;
        let mut shell = Command::new("sh");
        let status = shell.args(["-c", write, "sh"]).arg(folder).arg(script).status().unwrap();
        assert!(status.success());
    }

    #[tokio::test]
    async fn a_postgres_that_is_too_old_is_passed_over() {
        let base = std::env::temp_dir().join(format!("jetlane-binaries-{}", Uuid::now_v7()));
        let (old, new) = (base.join("old"), base.join("new"));
        given_postgres(&old, "15.14 (Debian 15.14-0+deb12u1)");
        given_postgres(&new, "16.1");
        let path = std::env::join_paths([&old, &new]).unwrap();
        let mut settings = Settings::from_vars(|_| None).unwrap();

        settings.path = path;
        let both = find(&POSTGRESQL, &settings, &base, None).await;
        settings.path = old.clone().into();
        let old_only = find(&POSTGRESQL, &settings, &base, None).await;

        fs::remove_dir_all(&base).unwrap();
        assert_eq!(both, Ok(new));
        let reason = old_only.unwrap_err();
        let expected = format!("(15.14 in {} is too old)", old.display());
        assert!(reason.contains(&expected), "{reason}");
    }
}
