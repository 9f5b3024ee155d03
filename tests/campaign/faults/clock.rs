//! The ledger's clock jumps.

use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::{AssertSqlSafe, PgPool};

use super::{Fault, Felt};
use crate::campaign::Ground;

/// A jump, which stays: a jump back by as much would make waits out of leases
/// and backoffs that were counted from the time between.
pub(super) struct Jump {
    millis: i64,
    /// The ledger's clock just before, and a transaction of then.
    before: Option<(DateTime<Utc>, i64)>,
}

impl Jump {
    /// Up to an hour, so that every lease has lapsed.
    pub(super) fn ahead(chance: u64) -> Self {
        let seconds = StdRng::seed_from_u64(chance).random_range(5..3_600);
        Self { millis: seconds * 1_000, before: None }
    }

    /// As far as a clock that is set right may step.
    pub(super) fn back(chance: u64) -> Self {
        Self { millis: -StdRng::seed_from_u64(chance).random_range(200..3_000), before: None }
    }
}

/// How many events since a transaction happened, by their times, before that, or
/// later than they can have without a jump by so many milliseconds.
async fn out_of_time(
    ledger: &PgPool,
    at: DateTime<Utc>,
    millis: i64,
    xid: i64,
) -> Result<i64, sqlx::Error> {
    let count = sqlx::query_scalar(
        "SELECT count(*) FROM job_events
         WHERE xid > $1
           AND CASE WHEN $2 < 0 THEN created_at < $3
                    ELSE created_at >= $3 + $2 * interval '1 ms' END",
    );
    count.bind(xid).bind(millis).bind(at).fetch_one(ledger).await
}

impl Fault for Jump {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            let ledger = &ground.world.ledger;
            let ledger_offset = &ground.clients.ledger_offset;
            let offset = ledger_offset.load(Ordering::Relaxed) + self.millis;
            let statement = format!(
                "CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz
                 LANGUAGE sql STABLE PARALLEL SAFE
                 RETURN now() + interval '{offset} milliseconds'"
            );
            let now = sqlx::query_as("SELECT ledger_now(), ledger_xid()");
            self.before = Some(now.fetch_one(ledger).await?);
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(ledger).await?;
            ledger_offset.store(offset, Ordering::Relaxed);
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        std::future::ready(Ok(())).boxed_local()
    }

    fn felt<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        async move {
            let count = match self.before {
                Some((at, xid)) => out_of_time(&ground.world.ledger, at, self.millis, xid).await,
                None => Ok(0),
            };
            let count = count.ok().and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
            Felt { what: "events out of time", count }
        }
        .boxed_local()
    }
}
