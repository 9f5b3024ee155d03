//! Both servers at once.

use crate::error::DevstackError;
use crate::folder::Data;
use crate::nats::Nats;
use crate::postgres::Postgres;
use crate::settings::Settings;

/// A PostgreSQL and a NATS server.
#[derive(Debug)]
pub struct Devstack {
    /// For the ledger.
    pub postgres: Postgres,
    /// For the feed.
    pub nats: Nats,
}

impl Devstack {
    /// Brings up both servers side by side.
    ///
    /// # Errors
    ///
    /// The first that occurs in bringing up either; the other one is stopped then.
    pub async fn start(settings: &Settings, data: &Data) -> Result<Self, DevstackError> {
        let (postgres, nats) =
            tokio::try_join!(Postgres::start(settings, data), Nats::start(settings, data))?;
        Ok(Self { postgres, nats })
    }

    /// Stops what is ours of both, and waits until it has ended.
    ///
    /// # Errors
    ///
    /// [`DevstackError::TooSlow`]; the guards go on trying.
    pub async fn stop(self) -> Result<(), DevstackError> {
        let (postgres, nats) = tokio::join!(self.postgres.stop(), self.nats.stop());
        postgres.and(nats)
    }
}
