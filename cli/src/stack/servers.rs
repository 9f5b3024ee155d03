//! PostgreSQL with a database for the ledger, and NATS.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use jetlane_core::messaging::Messaging;
use jetlane_core::shutdown::Shutdown;
use jetlane_core::store;
use jetlane_devstack::{Data, Devstack, Ended, Settings};
use tokio::time::timeout;
use uuid::Uuid;

use super::Environment;
use crate::environment;

/// The ledger's database on a server of our own.
const DATABASE: &str = "jetlane";

/// Where the ledger lives, and for how long.
#[derive(Clone, Debug)]
pub(crate) enum Ledger {
    /// In a new database, which is removed at the end.
    Scratch,
    /// In this folder; or, where `DATABASE_URL` gives a database, in that one.
    Kept(PathBuf),
}

/// Both servers, and an empty or kept database.
#[derive(Debug)]
pub(crate) struct Servers {
    devstack: Devstack,
    database_url: String,
    /// The database to drop from a server that was given.
    scratch: Option<String>,
    /// A NATS that was given, to remove our streams from.
    borrowed_nats: Option<Messaging>,
    /// Whose end has been told of.
    told: Told,
}

/// Which servers' ends have been told of.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    postgres: bool,
    nats: bool,
}

/// How long a NATS that was given may take to answer.
const NATS_LIMIT: Duration = Duration::from_secs(5);

impl Servers {
    /// Brings up the servers, or finds those that the environment gives, whose file `.env` counts
    /// only if it is to be inherited. `None` if it is to stop before they are there.
    ///
    /// # Errors
    ///
    /// As devstack's, in one line that says what to install. Nothing is left then.
    pub(crate) async fn start(
        ledger: &Ledger,
        environment: Environment,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Option<Self>> {
        let settings = match environment {
            Environment::Inherited => environment::devstack_settings()?,
            Environment::Bare => Settings::from_env()?,
        };
        let data = match ledger {
            Ledger::Scratch => Data::Temporary,
            Ledger::Kept(folder) => Data::Kept(folder.clone()),
        };
        let bring_up = async {
            let devstack = Devstack::start(&settings, &data).await?;
            let borrowed_nats = match ledger {
                Ledger::Scratch if !devstack.nats.is_own() => {
                    Some(borrow_nats(devstack.nats.url()).await?)
                }
                Ledger::Scratch | Ledger::Kept(_) => None,
            };
            anyhow::Ok((devstack, borrowed_nats))
        };
        let bring_up = Box::pin(bring_up);
        let Some(up) = shutdown.drain.run_until_cancelled(bring_up).await else { return Ok(None) };
        let (devstack, borrowed_nats) = up?;

        // From here on heedless of a drain: a database whose making is broken off may be made yet.
        let given = settings.database_url.filter(|_| !devstack.postgres.is_own());
        let servers = match (ledger, given) {
            (Ledger::Kept(_), Some(database_url)) => Self {
                devstack,
                database_url,
                scratch: None,
                borrowed_nats: None,
                told: Told::default(),
            },
            (Ledger::Kept(_), None) => Self::with_kept_database(devstack).await?,
            (Ledger::Scratch, _) => Self::with_new_database(devstack, borrowed_nats).await?,
        };
        Ok(Some(servers))
    }

    async fn with_kept_database(devstack: Devstack) -> anyhow::Result<Self> {
        let database_url = devstack.postgres.url(DATABASE);
        if store::pending_migrations(&database_url).await.is_err() {
            devstack.postgres.create_database(DATABASE).await?;
        }
        Ok(Self {
            devstack,
            database_url,
            scratch: None,
            borrowed_nats: None,
            told: Told::default(),
        })
    }

    async fn with_new_database(
        devstack: Devstack,
        borrowed_nats: Option<Messaging>,
    ) -> anyhow::Result<Self> {
        let name = format!("jetlane_{}", Uuid::now_v7().simple());
        devstack.postgres.create_database(&name).await?;
        let database_url = devstack.postgres.url(&name);
        let scratch = (!devstack.postgres.is_own()).then_some(name);
        Ok(Self { devstack, database_url, scratch, borrowed_nats, told: Told::default() })
    }

    /// The ledger.
    pub(crate) fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Where NATS listens.
    pub(crate) fn nats_url(&self) -> &str {
        self.devstack.nats.url()
    }

    /// Where NATS tells of itself over HTTP, if the server is our own.
    pub(crate) fn nats_monitor(&self) -> Option<&str> {
        self.devstack.nats.monitor()
    }

    /// Waits until one of the servers that are ours ends by itself, and tells of that once. Waits
    /// for ever once none is left.
    pub(crate) async fn ended(&mut self) -> Ended {
        let Devstack { postgres, nats } = &self.devstack;
        tokio::select! {
            ended = postgres.ended(), if !self.told.postgres => {
                self.told.postgres = true;
                ended
            }
            ended = nats.ended(), if !self.told.nats => {
                self.told.nats = true;
                ended
            }
            else => std::future::pending().await,
        }
    }

    /// Stops what is ours, and removes from servers that were given what was for this run only.
    ///
    /// # Errors
    ///
    /// The first, if a server does not stop, or if the database or streams cannot be removed; the
    /// others are stopped and removed all the same.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let dropped = match &self.scratch {
            Some(name) => self.devstack.postgres.drop_database(name).await,
            None => Ok(()),
        };
        let removed = match &self.borrowed_nats {
            Some(messaging) => messaging.remove_streams().await,
            None => Ok(()),
        };
        let stopped = self.devstack.stop().await;

        dropped.context("a database was left behind")?;
        removed.context("streams were left behind")?;
        Ok(stopped?)
    }
}

/// A NATS that was given for this run only: nobody else may be using it, since
/// our streams have the same names everywhere.
async fn borrow_nats(url: &str) -> anyhow::Result<Messaging> {
    let messaging = Messaging::connect(url, "jetlane-cli").await?;
    timeout(NATS_LIMIT, messaging.link().wait_for(|link| link.is_up))
        .await
        .context("NATS_URL does not answer")??;
    let existing = messaging.existing_streams().await?;
    if !existing.is_empty() {
        bail!("NATS_URL has streams in use ({}): give another server", existing.join(", "));
    }
    Ok(messaging)
}
