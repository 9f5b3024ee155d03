//! NATS that dies, loses its data, or stands still.

use anyhow::Context;
use async_nats::jetstream;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use rustix::process::{Pid, Signal, kill_process};

use super::{Fault, Felt};
use crate::campaign::Ground;

/// The streams of the product.
const STREAMS: [&str; 4] = ["WORK", "JOBS", "OUTPUT", "DEAD_LETTERS"];

/// What the ledger says is owed to NATS.
async fn owed(ground: &Ground) -> u64 {
    let count: Result<i64, _> =
        sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(&ground.world.ledger).await;
    count.ok().and_then(|count| u64::try_from(count).ok()).unwrap_or(0)
}

/// kill -9, and a start with or without what it had stored.
pub(super) struct Killed {
    loses_data: bool,
    owed: u64,
}

impl Killed {
    pub(super) fn keeping_data() -> Self {
        Self { loses_data: false, owed: 0 }
    }

    pub(super) fn losing_data() -> Self {
        Self { loses_data: true, owed: 0 }
    }
}

impl Fault for Killed {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            if self.loses_data {
                ground.read_stream().await?;
            }
            Ok(ground.world.servers.nats.lock().await.kill().await?)
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            self.owed = owed(ground).await;
            let mut nats = ground.world.servers.nats.lock().await;
            if self.loses_data {
                nats.wipe().await?;
            }
            Ok(nats.start_again().await?)
        }
        .boxed_local()
    }

    fn felt<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        std::future::ready(Felt { what: "messages owed", count: self.owed }).boxed_local()
    }
}

/// SIGSTOP: connections stay open, and nobody answers.
#[derive(Default)]
pub(super) struct Paused {
    pid: Option<Pid>,
    owed: u64,
}

impl Fault for Paused {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            let pid = ground.world.servers.nats.lock().await.pid();
            let pid = pid.and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
            let pid = pid.context("NATS does not run")?;
            kill_process(pid, Signal::STOP)?;
            self.pid = Some(pid);
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            self.owed = owed(ground).await;
            match self.pid {
                Some(pid) => Ok(kill_process(pid, Signal::CONT)?),
                None => Ok(()),
            }
        }
        .boxed_local()
    }

    fn felt<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        std::future::ready(Felt { what: "messages owed", count: self.owed }).boxed_local()
    }
}

/// Somebody deletes the streams, and the consumers with them.
#[derive(Default)]
pub(super) struct StreamsDeleted {
    deleted: u64,
}

impl Fault for StreamsDeleted {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            ground.read_stream().await?;
            let jetstream = jetstream::new(ground.nats().await?);
            for stream in STREAMS {
                self.deleted += u64::from(jetstream.delete_stream(stream).await.is_ok());
            }
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        std::future::ready(Ok(())).boxed_local()
    }

    fn felt<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        std::future::ready(Felt { what: "streams deleted", count: self.deleted }).boxed_local()
    }
}
