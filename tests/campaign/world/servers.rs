//! PostgreSQL and NATS, ours to break.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use jetlane_devstack::{Data, Nats, NatsTimes, Postgres, Settings, Source};
use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::sync::Mutex;

use super::disk::Disk;
use crate::faults::{FaultKind, Footing};

/// Where the servers' data lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// In temporary folders.
    Ordinary,
    /// On a disk whose power can fail.
    DiskOfTheirOwn,
}

impl Storage {
    /// What these faults take.
    pub(super) fn for_faults(kinds: &[FaultKind]) -> Self {
        if kinds.contains(&FaultKind::PowerLost) { Self::DiskOfTheirOwn } else { Self::Ordinary }
    }
}

/// The database of the campaign.
const DATABASE: &str = "campaign";

/// Sessions that rest for longer are ended by PostgreSQL: so soon that a
/// campaign outlasts it.
const LIMIT_REST: &str = "ALTER DATABASE campaign SET idle_session_timeout = '8s'";

/// NATS ends connections that leave two pings unanswered, and flushes rarely
/// enough for a power loss to matter, often enough for a disk that does not.
const NATS_TIMES: NatsTimes =
    NatsTimes { ping_interval: Duration::from_secs(2), sync_interval: Duration::from_secs(5) };

/// Both servers. The locks are held while a fault stops and starts one.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) postgres: Mutex<Postgres>,
    pub(crate) nats: Mutex<Nats>,
    /// Theirs, if its power is to fail; goes after them.
    pub(crate) disk: Option<Disk>,
    /// Past every proxy.
    pub(crate) database_url: String,
    /// Past every proxy.
    pub(crate) nats_url: String,
    /// Where NATS tells of itself.
    nats_monitor: String,
}

impl Servers {
    /// Brings up both, never ones that were given: they are going to be killed.
    pub(super) async fn start(storage: Storage, footing: Footing) -> anyhow::Result<Self> {
        let disk = match storage {
            Storage::Ordinary => None,
            Storage::DiskOfTheirOwn => Some(Disk::mount()?),
        };
        let data = disk.as_ref().map_or(Data::Temporary, |disk| Data::Kept(disk.path()));
        let settings = Settings {
            sources: match footing {
                Footing::Processes => vec![Source::Binaries, Source::Wheels],
                Footing::Containers => vec![Source::Containers],
            },
            nats_times: NATS_TIMES,
            ..Settings::from_env()?
        };
        let (postgres, nats) =
            tokio::try_join!(Postgres::start(&settings, &data), Nats::start(&settings, &data),)?;
        postgres.create_database(DATABASE).await?;
        let database_url = postgres.url(DATABASE);
        let mut connection = PgConnection::connect(&database_url).await?;
        sqlx::raw_sql(LIMIT_REST).execute(&mut connection).await?;
        connection.close().await?;
        let nats_url = nats.url().to_owned();
        let nats_monitor = nats.monitor().context("the server is our own")?.to_owned();
        Ok(Self {
            postgres: Mutex::new(postgres),
            nats: Mutex::new(nats),
            disk,
            database_url,
            nats_url,
            nats_monitor,
        })
    }

    /// What NATS says that it is.
    pub(super) async fn nats_version(&self, http: &Client) -> anyhow::Result<String> {
        let answer = http.get(format!("{}/varz", self.nats_monitor)).send().await?;
        let answer: Value = answer.json().await?;
        Ok(answer["version"].as_str().context("NATS tells no version")?.to_owned())
    }

    /// The connections of those who call themselves so, by the numbers that
    /// NATS gives them.
    pub(crate) async fn nats_connections(
        &self,
        name: &str,
        http: &Client,
    ) -> anyhow::Result<BTreeSet<u64>> {
        let answer = http.get(format!("{}/connz", self.nats_monitor)).send().await?;
        let answer: Value = answer.json().await?;
        let all = answer["connections"].as_array().context("NATS tells of no connections")?;
        let named = all.iter().filter(|connection| connection["name"] == name);
        Ok(named.filter_map(|connection| connection["cid"].as_u64()).collect())
    }

    /// Has both run, whatever was done to them.
    pub(crate) async fn restore(&self) -> anyhow::Result<()> {
        let mut nats = self.nats.lock().await;
        if let Some(pid) = nats.pid().and_then(|pid| Pid::from_raw(pid.try_into().ok()?)) {
            kill_process(pid, Signal::CONT)?;
        }
        nats.start_again().await?;
        self.postgres.lock().await.start_again().await?;
        Ok(())
    }
}
