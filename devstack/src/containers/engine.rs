//! The engine: where it listens, and whether it answers there.

use std::env::split_paths;
use std::net::IpAddr;
use std::path::PathBuf;

use testcontainers::bollard::errors::Error;
use tokio::net::UnixStream;

use super::PROMPT;
use crate::program;
use crate::settings::Settings;

/// An engine on this machine that answers, as a guard asks it.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    curl: PathBuf,
    /// curl's arguments that say where the engine listens.
    socket: Vec<String>,
    /// The URL of its API.
    base: String,
}

impl Engine {
    /// The engine that testcontainers finds by the same settings.
    ///
    /// # Errors
    ///
    /// Why it cannot be used, as a fragment for a longer message.
    pub(super) async fn find(settings: &Settings) -> Result<Self, String> {
        let host = &settings.docker_host;
        let (socket, base) = access(host)
            .ok_or_else(|| format!("DOCKER_HOST={host} is no unix:// or tcp:// of this machine"))?;
        let silent = |why: String| format!("no Docker engine answers at {host} ({why})");
        if let Some(socket) = host.strip_prefix("unix://") {
            // curl would not say whether it is missing or closed to us.
            UnixStream::connect(socket).await.map_err(|error| silent(error.to_string()))?;
        }
        let mut folders = split_paths(&settings.path).filter(|folder| folder.is_absolute());
        let curl = folders
            .find_map(|folder| Some(folder.join("curl")).filter(|curl| curl.is_file()))
            .ok_or("no curl on PATH, which is to remove the containers")?;

        let engine = Self { curl, socket, base };
        let mut question = engine.arguments("/_ping");
        question.push("--fail".to_owned());
        let question: Vec<&str> = question.iter().map(String::as_str).collect();
        match program::output(&engine.curl, &question, None, PROMPT).await {
            Ok(_) => Ok(engine),
            Err(error) => Err(silent(error.to_string())),
        }
    }

    /// The command that asks the engine, to which more can be added.
    pub(super) fn command(&self, path: &str) -> impl Iterator<Item = String> {
        let curl = self.curl.to_string_lossy().into_owned();
        [curl].into_iter().chain(self.arguments(path))
    }

    fn arguments(&self, path: &str) -> Vec<String> {
        // `--disable` comes first: no `.curlrc` of a user.
        let common = ["--disable", "--silent", "--show-error", "--noproxy", "*"].map(str::to_owned);
        let url = format!("{}{path}", self.base);
        common.into_iter().chain(self.socket.iter().cloned()).chain([url]).collect()
    }
}

/// Where `host` listens: arguments of curl and a base for URLs. `None` unless it is on this machine,
/// as published ports are bound to its loopback.
fn access(host: &str) -> Option<(Vec<String>, String)> {
    let (scheme, rest) = host.split_once("://")?;
    match scheme {
        "unix" => {
            Some((vec!["--unix-socket".to_owned(), rest.to_owned()], "http://localhost".to_owned()))
        }
        "tcp" | "http" => {
            let authority = rest.trim_end_matches('/');
            let (name, _port) = authority.rsplit_once(':')?;
            let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
            let is_here = name == "localhost" || address.is_ok_and(|address| address.is_loopback());
            is_here.then(|| (Vec::new(), format!("http://{authority}")))
        }
        _ => None,
    }
}

/// Whether the engine answered that there is no such thing.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_engine_of_this_machine_is_asked() {
        let socket = vec!["--unix-socket".to_owned(), "/run/x.sock".to_owned()];
        assert_eq!(access("unix:///run/x.sock"), Some((socket, "http://localhost".to_owned())));
        for here in ["127.0.0.1:2375", "localhost:1", "[::1]:2"] {
            let expected = Some((Vec::new(), format!("http://{here}")));
            assert_eq!(access(&format!("tcp://{here}/")), expected);
        }
        for elsewhere in ["tcp://docker:2375", "ssh://me@there", "tcp://10.0.0.1:2375", "nonsense"]
        {
            assert_eq!(access(elsewhere), None, "{elsewhere}");
        }
    }
}
