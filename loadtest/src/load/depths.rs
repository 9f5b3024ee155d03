//! What must not pile up in servers of our own while a load lasts.

use anyhow::Context;
use async_nats::jetstream;
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection};

use crate::stack::Stack;

/// Where it is read.
pub(super) struct Gauges {
    ledger: PgConnection,
    jetstream: jetstream::Context,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Depths {
    /// Rows that are owed to NATS.
    pub(crate) outbox_rows: u64,
    /// Rows of jobs and of the outbox that nobody sees any more and that no vacuum has taken away.
    pub(crate) dead_rows: u64,
    /// The index from which jobs are claimed.
    pub(crate) claimable_index_bytes: u64,
    /// Bells that nobody has answered.
    pub(crate) bells: u64,
}

impl Gauges {
    /// Those of a stack.
    ///
    /// # Errors
    ///
    /// If a server does not answer.
    pub(super) async fn open(stack: &Stack) -> anyhow::Result<Self> {
        let nats = async_nats::connect(stack.servers().nats.url()).await?;
        let ledger = PgConnection::connect(stack.database_url()).await?;
        Ok(Self { ledger, jetstream: jetstream::new(nats) })
    }

    /// Reads all of them.
    ///
    /// # Errors
    ///
    /// Likewise.
    pub(super) async fn read(&mut self) -> anyhow::Result<Depths> {
        let sql = "SELECT (SELECT count(*) FROM outbox),
                          (SELECT sum(n_dead_tup)::bigint FROM pg_stat_user_tables
                           WHERE relname IN ('jobs', 'outbox')),
                          pg_relation_size('jobs_claimable_idx')";
        let (outbox_rows, dead_rows, claimable_index_bytes): (i64, i64, i64) =
            sqlx::query_as(sql).fetch_one(&mut self.ledger).await?;
        let work = self.jetstream.get_stream("WORK").await.context("no stream of bells")?;
        Ok(Depths {
            outbox_rows: outbox_rows.unsigned_abs(),
            dead_rows: dead_rows.unsigned_abs(),
            claimable_index_bytes: claimable_index_bytes.unsigned_abs(),
            bells: work.cached_info().state.messages,
        })
    }
}
