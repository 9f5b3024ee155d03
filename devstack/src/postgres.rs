//! A PostgreSQL server.

use std::path::Path;

use anyhow::ensure;
use uuid::Uuid;

use crate::account;
use crate::containers::{Container, Engine};
use crate::ended::Ended;
use crate::error::DevstackError;
use crate::folder::{Data, Folder};
use crate::guard::Task;
use crate::origin::Origin;
use crate::ports::{self, until_ports_are_free};
use crate::postgres_config;
use crate::postgres_url::{with_database, without_driver};
use crate::process::Process;
use crate::product::POSTGRESQL;
use crate::server::Server;
use crate::settings::Settings;
use crate::sources::{self, Found, Wanted};
use crate::sql;
use crate::version::Version;

/// A fast shutdown, an immediate one, and the end.
const STOP: &str = "INT:20 QUIT:5 KILL:5";

/// A PostgreSQL server: one of our own, or one that was given.
///
/// One of our own listens on loopback only, trusts who connects as `postgres`, and ends with this
/// handle: dropping it blocks until it has, [`Postgres::stop`] waits without blocking.
#[derive(Debug)]
pub struct Postgres {
    /// With the database that always exists.
    admin_url: String,
    /// `None` if it was given.
    own: Option<Own>,
}

/// What we know of a server of our own.
#[derive(Debug)]
struct Own {
    server: Server,
    /// What the server calls itself, which no other does.
    name: String,
}

impl Postgres {
    /// Brings up a server, or finds the one that was given.
    ///
    /// # Errors
    ///
    /// [`DevstackError::Unavailable`] if there is no way to one, [`DevstackError::InUse`] if the
    /// folder to keep has one; nothing runs then.
    pub async fn start(settings: &Settings, data: &Data) -> Result<Self, DevstackError> {
        let image = &settings.postgres_image;
        match sources::find(wanted(settings, data), settings).await? {
            Found::Url(url) => Self::given(&url).await,
            Found::Programs(programs) => {
                until_ports_are_free(|| Self::start_process(&programs, settings, data)).await
            }
            Found::Engine(engine) => {
                until_ports_are_free(|| Self::start_container(&engine, image)).await
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

    async fn given(url: &str) -> Result<Self, DevstackError> {
        let admin_url = without_driver(url);
        let variable = POSTGRESQL.url_variable;
        let found = sql::show(&admin_url, "SHOW server_version")
            .await
            .map_err(|source| DevstackError::GivenSilent { variable, source })?;

        match Version::find(&found) {
            Some(version) if version < POSTGRESQL.minimum => {
                Err(DevstackError::too_old(variable, version, POSTGRESQL.minimum))
            }
            _ => Ok(Self { admin_url, own: None }),
        }
    }

    async fn start_process(
        programs: &Path,
        settings: &Settings,
        data: &Data,
    ) -> Result<Self, DevstackError> {
        let account = account::for_servers(settings.user.as_deref())?;
        let folder = Folder::take(data, "postgres", settings, account).await?;
        forget_crash(folder.path())?;

        let (port, name) = port_and_name()?;
        let process = Process::new(
            &POSTGRESQL,
            &Task {
                folder: &folder,
                account,
                config: &postgres_config::file(port, &name),
                stop: STOP,
                initdb: Some(&programs.join("initdb")),
                command: &postgres_config::command(programs, folder.path()),
            },
        )?;
        Self::start_own(Server::Process(process), port, name).await
    }

    async fn start_container(engine: &Engine, image: &str) -> Result<Self, DevstackError> {
        let (port, name) = port_and_name()?;
        let recipe = postgres_config::recipe(image, port, &name);
        let container = Container::new(&POSTGRESQL, engine, recipe)?;
        let this = Self::start_own(Server::Container(Box::new(container)), port, name).await?;

        let version = sql::show(&this.admin_url, "SHOW server_version").await.unwrap_or_default();
        POSTGRESQL.check_image(image, &version)?;
        Ok(this)
    }

    async fn start_own(mut server: Server, port: u16, name: String) -> Result<Self, DevstackError> {
        let admin_url = format!("postgresql://postgres@127.0.0.1:{port}/postgres");
        server.start(|| is_called(&admin_url, &name)).await?;
        Ok(Self { admin_url, own: Some(Own { server, name }) })
    }

    /// Whether it is one of our own, which nobody else uses and which ends with us.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// The URL of one of its databases.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        with_database(&self.admin_url, database)
    }

    /// The URL of the database that the server came with, for statements about databases.
    #[must_use]
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// The postmaster's process. `None` while it is down, in a container, whose processes are its
    /// engine's, and if the server was given.
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

    /// Makes an empty database.
    ///
    /// # Errors
    ///
    /// [`DevstackError::DatabaseName`], or [`DevstackError::Sql`], also if it exists.
    pub async fn create_database(&self, name: &str) -> Result<(), DevstackError> {
        sql::create_database(&self.admin_url, name).await
    }

    /// Makes a database that is a copy of `template`, to which nobody may be connected.
    ///
    /// # Errors
    ///
    /// As [`Postgres::create_database`].
    pub async fn copy_database(&self, template: &str, name: &str) -> Result<(), DevstackError> {
        sql::copy_database(&self.admin_url, template, name).await
    }

    /// Removes a database, if it exists, and ends who is connected to it.
    ///
    /// # Errors
    ///
    /// [`DevstackError::DatabaseName`] or [`DevstackError::Sql`].
    pub async fn drop_database(&self, name: &str) -> Result<(), DevstackError> {
        sql::drop_database(&self.admin_url, name).await
    }

    /// Ends the postmaster at once by SIGKILL, and waits until it is gone. Its children follow.
    ///
    /// # Errors
    ///
    /// [`DevstackError::NotOurs`] if the server was given.
    pub async fn kill(&mut self) -> Result<(), DevstackError> {
        self.own()?.server.kill().await
    }

    /// Stops the server in good order, and waits until it is gone. Its data stays.
    ///
    /// # Errors
    ///
    /// [`DevstackError::NotOurs`] if the server was given.
    pub async fn stop_server(&mut self) -> Result<(), DevstackError> {
        self.own()?.server.stop().await
    }

    /// Starts the server on its former port, with its data. Does nothing if it runs.
    ///
    /// # Errors
    ///
    /// [`DevstackError::NotOurs`] if the server was given; [`DevstackError::Exited`] if it gives
    /// up, which it may be asked to start again after.
    pub async fn start_again(&mut self) -> Result<(), DevstackError> {
        let admin_url = self.admin_url.clone();
        let Own { server, name } = self.own()?;
        if let Server::Process(process) = server
            && process.pid().is_none()
        {
            forget_crash(process.folder())?;
        }
        server.start_again(|| is_called(&admin_url, name)).await
    }

    /// Stops a server of our own for good and waits until it has ended. Leaves one that was given alone.
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
        self.own.as_mut().ok_or(DevstackError::NotOurs { variable: POSTGRESQL.url_variable })
    }
}

fn wanted<'a>(settings: &'a Settings, data: &'a Data) -> Wanted<'a> {
    let (url, image) = (settings.database_url.as_deref(), &settings.postgres_image);
    Wanted { product: &POSTGRESQL, url, image, data }
}

fn port_and_name() -> Result<(u16, String), DevstackError> {
    let [port] = ports::free().map_err(DevstackError::io("find a free port"))?;
    Ok((port, format!("jetlane-postgres-{}", Uuid::now_v7().simple())))
}

/// Whether the server that answers is ours, and not one that took its port.
async fn is_called(url: &str, name: &str) -> anyhow::Result<()> {
    let found = sql::show(url, "SHOW cluster_name").await?;
    ensure!(found == name, "it is {found}");
    Ok(())
}

/// Removes the trace of a postmaster that was killed: its number may mean another process by now.
/// The folder's lock says that no server of ours works there.
fn forget_crash(folder: &Path) -> Result<(), DevstackError> {
    let trace = folder.join("data/postmaster.pid");
    match std::fs::remove_file(&trace) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(DevstackError::io(format!("remove {}", trace.display()))(error))
        }
        _ => Ok(()),
    }
}
