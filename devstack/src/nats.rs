//! A NATS server with JetStream.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use anyhow::ensure;
use uuid::Uuid;

use crate::account;
use crate::error::DevstackError;
use crate::folder::{Data, Folder};
use crate::guard::Task;
use crate::nats_info;
use crate::ports;
use crate::product::NATS;
use crate::server::Server;
use crate::settings::Settings;
use crate::sources::{self, Found};
use crate::version::Version;

/// An orderly end, and the end.
const STOP: &str = "TERM:20 KILL:5";

/// How often to try with other ports after someone took ours.
const PORT_TRIES: u32 = 5;

/// A NATS server with JetStream: one of our own, or one that was given.
///
/// One of our own listens on loopback only, stores in files, and ends with this handle: dropping it
/// blocks until it has, [`Nats::stop`] waits without blocking.
#[derive(Debug)]
pub struct Nats {
    url: String,
    /// `None` if it was given.
    own: Option<Own>,
}

/// What we know of a server of our own.
#[derive(Debug)]
struct Own {
    server: Server,
    /// What the server calls itself, which no other does.
    name: String,
    monitor: String,
}

impl Nats {
    /// Brings up a server, or finds the one that was given.
    ///
    /// # Errors
    ///
    /// [`DevstackError::Unavailable`] if there is no way to one, [`DevstackError::InUse`] if the
    /// folder to keep has one; nothing runs then.
    pub async fn start(settings: &Settings, data: &Data) -> Result<Self, DevstackError> {
        match sources::find(&NATS, settings.nats_url.as_deref(), settings).await? {
            Found::Url(url) => Self::given(url).await,
            Found::Programs(programs) => Self::start_own(&programs, settings, data).await,
        }
    }

    async fn given(url: String) -> Result<Self, DevstackError> {
        let variable = NATS.url_variable;
        let info = nats_info::ask(&url)
            .await
            .map_err(|source| DevstackError::GivenSilent { variable, source })?;

        if let Some(version) = Version::find(&info.version).filter(|found| *found < NATS.minimum) {
            return Err(DevstackError::too_old(variable, version, NATS.minimum));
        }
        if !info.jetstream {
            let reason = "JetStream is not enabled".to_owned();
            return Err(DevstackError::GivenUnfit { variable, reason });
        }
        Ok(Self { url, own: None })
    }

    async fn start_own(
        programs: &Path,
        settings: &Settings,
        data: &Data,
    ) -> Result<Self, DevstackError> {
        let mut tries = PORT_TRIES;
        loop {
            match Self::start_on_some_ports(programs, settings, data).await {
                Err(DevstackError::Exited { log, .. }) if ports::was_taken(&log) && tries > 0 => {
                    tries -= 1;
                }
                done => return done,
            }
        }
    }

    async fn start_on_some_ports(
        programs: &Path,
        settings: &Settings,
        data: &Data,
    ) -> Result<Self, DevstackError> {
        let account = account::for_servers(settings.user.as_deref())?;
        let folder = Folder::take(data, "nats", settings, account).await?;

        let [port, monitor] = ports::free().map_err(DevstackError::io("find free ports"))?;
        let name = format!("jetlane-{}", Uuid::now_v7());
        let command = command(programs, folder.path());
        let server = Server::new(
            &NATS,
            &Task {
                folder: &folder,
                account,
                config: &config(port, monitor, &name, folder.path()),
                stop: STOP,
                initdb: None,
                command: &command,
            },
        )?;

        let url = format!("nats://127.0.0.1:{port}");
        let monitor = format!("http://127.0.0.1:{monitor}");
        let mut own = Own { server, name, monitor };
        own.server.start(|| is_called(&url, &own.name)).await?;
        Ok(Self { url, own: Some(own) })
    }

    /// Where clients connect; stays the same when the server is started again.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of its HTTP monitor. `None` if the server was given.
    #[must_use]
    pub fn monitor(&self) -> Option<&str> {
        self.own.as_ref().map(|own| own.monitor.as_str())
    }

    /// Its process. `None` while it is down, and if the server was given.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.own.as_ref().and_then(|own| own.server.pid())
    }

    /// Ends the server at once by SIGKILL, and waits until it is gone. Its store stays.
    ///
    /// # Errors
    ///
    /// [`DevstackError::NotOurs`] if the server was given.
    pub async fn kill(&mut self) -> Result<(), DevstackError> {
        self.own()?.server.kill().await
    }

    /// Stops the server in good order, and waits until it is gone. Its store stays.
    ///
    /// # Errors
    ///
    /// [`DevstackError::NotOurs`] if the server was given.
    pub async fn stop_server(&mut self) -> Result<(), DevstackError> {
        self.own()?.server.stop().await
    }

    /// Starts the server on its former port, with what is in its store. Does nothing if it runs.
    ///
    /// # Errors
    ///
    /// [`DevstackError::NotOurs`] if the server was given; [`DevstackError::Exited`] if it gives
    /// up, which it may be asked to start again after.
    pub async fn start_again(&mut self) -> Result<(), DevstackError> {
        let url = self.url.clone();
        let Own { server, name, .. } = self.own()?;
        server.start_again(|| is_called(&url, name)).await
    }

    /// Removes all that a stopped server has stored.
    ///
    /// # Errors
    ///
    /// [`DevstackError::NotOurs`] if the server was given, and [`DevstackError::Io`] of kind
    /// `ResourceBusy` if it runs; nothing is removed then.
    pub async fn wipe(&mut self) -> Result<(), DevstackError> {
        let server = &self.own()?.server;
        let store = server.folder().join("store");
        let io = DevstackError::io(format!("remove {}", store.display()));
        if server.pid().is_some() {
            return Err(io(io::ErrorKind::ResourceBusy.into()));
        }
        match tokio::fs::remove_dir_all(&store).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io(error)),
            _ => Ok(()),
        }
    }

    /// Stops a server of our own for good and waits until it has ended. Leaves one that was given
    /// alone.
    ///
    /// # Errors
    ///
    /// [`DevstackError::TooSlow`]; its guard goes on trying.
    pub async fn stop(self) -> Result<(), DevstackError> {
        match self.own {
            Some(own) => own.server.end().await,
            None => Ok(()),
        }
    }

    fn own(&mut self) -> Result<&mut Own, DevstackError> {
        self.own.as_mut().ok_or(DevstackError::NotOurs { variable: NATS.url_variable })
    }
}

/// Whether the server that answers is ours, and not one that took its port, with JetStream.
async fn is_called(url: &str, name: &str) -> anyhow::Result<()> {
    let info = nats_info::ask(url).await?;
    ensure!(info.server_name == name && info.jetstream, "it is {info:?}");
    Ok(())
}

fn command(programs: &Path, folder: &Path) -> [OsString; 3] {
    [programs.join("nats-server").into(), "--config".into(), folder.join("server.conf").into()]
}

/// All that differs from the defaults of nats-server.
fn config(port: u16, monitor: u16, name: &str, folder: &Path) -> String {
    let store = folder.join("store");
    let store = store.to_string_lossy();
    format!(
        "\
server_name: \"{name}\"
listen: \"127.0.0.1:{port}\"
http: \"127.0.0.1:{monitor}\"
ping_interval: \"10s\"
jetstream {{
  store_dir: {store:?}
}}
"
    )
}
