//! A NATS server with JetStream.

use std::path::Path;

use anyhow::ensure;
use uuid::Uuid;

use crate::account;
use crate::containers::{Container, Engine};
use crate::ended::Ended;
use crate::error::DevstackError;
use crate::folder::{Data, Folder};
use crate::guard::Task;
use crate::nats_config::{self, Ports, STORE, Told};
use crate::nats_info;
use crate::origin::Origin;
use crate::ports::{self, until_ports_are_free};
use crate::process::Process;
use crate::product::NATS;
use crate::server::Server;
use crate::settings::Settings;
use crate::sources::{self, Found, Wanted};
use crate::version::Version;

/// An orderly end, and the end.
const STOP: &str = "TERM:20 KILL:5";

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
        match sources::find(wanted(settings, data), settings).await? {
            Found::Url(url) => Self::given(url).await,
            Found::Programs(programs) => {
                until_ports_are_free(|| Self::start_process(&programs, settings, data)).await
            }
            Found::Engine(engine) => {
                until_ports_are_free(|| Self::start_container(&engine, settings)).await
            }
        }
    }

    /// Where [`start`](Self::start) would find a server. Starts, makes and downloads nothing, and does
    /// not ask one that was given.
    ///
    /// # Errors
    ///
    /// [`DevstackError::Unavailable`] if there is no way to one.
    pub async fn look(settings: &Settings, data: &Data) -> Result<Origin, DevstackError> {
        let wanted = wanted(settings, data);
        Ok(Origin::new(wanted, sources::look(wanted, settings).await?))
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

    async fn start_process(
        programs: &Path,
        settings: &Settings,
        data: &Data,
    ) -> Result<Self, DevstackError> {
        let account = account::for_servers(settings.user.as_deref())?;
        let folder = Folder::take(data, "nats", settings, account).await?;

        let (ports, name) = ports_and_name()?;
        let told = Told { ports, name: &name, times: settings.nats_times };
        let process = Process::new(
            &NATS,
            &Task {
                folder: &folder,
                account,
                config: &nats_config::file(told, folder.path()),
                stop: STOP,
                initdb: None,
                command: &nats_config::command(programs, folder.path()),
            },
        )?;
        Self::start_own(Server::Process(process), ports, name).await
    }

    async fn start_container(engine: &Engine, settings: &Settings) -> Result<Self, DevstackError> {
        let image = &settings.nats_image;
        let (ports, name) = ports_and_name()?;
        let told = Told { ports, name: &name, times: settings.nats_times };
        let recipe = nats_config::recipe(image, told);
        let container = Container::new(&NATS, engine, recipe)?;
        let this = Self::start_own(Server::Container(Box::new(container)), ports, name).await?;

        let version = nats_info::ask(&this.url).await.map(|info| info.version).unwrap_or_default();
        NATS.check_image(image, &version)?;
        Ok(this)
    }

    async fn start_own(
        mut server: Server,
        ports: Ports,
        name: String,
    ) -> Result<Self, DevstackError> {
        let url = format!("nats://127.0.0.1:{}", ports.clients);
        let monitor = format!("http://127.0.0.1:{}", ports.monitor);
        server.start(|| is_called(&url, &name)).await?;
        Ok(Self { url, own: Some(Own { server, name, monitor }) })
    }

    /// Whether it is one of our own, which nobody else uses and which ends with us.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.own.is_some()
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

    /// Its process. `None` while it is down, in a container, whose processes are its engine's, and
    /// if the server was given.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.own.as_ref().and_then(|own| own.server.pid())
    }

    /// Waits until the server does not run, whoever ended it; at once if it does not run now. For
    /// ever if it was given: its end is not ours to see.
    pub async fn ended(&self) -> Ended {
        match &self.own {
            Some(own) => own.server.ended().await,
            None => std::future::pending().await,
        }
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
        self.own()?.server.wipe(STORE).await
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

fn wanted<'a>(settings: &'a Settings, data: &'a Data) -> Wanted<'a> {
    let (url, image) = (settings.nats_url.as_deref(), &settings.nats_image);
    Wanted { product: &NATS, url, image, data }
}

fn ports_and_name() -> Result<(Ports, String), DevstackError> {
    let [clients, monitor] = ports::free().map_err(DevstackError::io("find free ports"))?;
    let name = format!("jetlane-nats-{}", Uuid::now_v7().simple());
    Ok((Ports { clients, monitor }, name))
}

/// Whether the server that answers is ours, and not one that took its port, with JetStream.
async fn is_called(url: &str, name: &str) -> anyhow::Result<()> {
    let info = nats_info::ask(url).await?;
    ensure!(info.server_name == name && info.jetstream, "it is {info:?}");
    Ok(())
}
