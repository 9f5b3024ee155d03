//! The ledger's clock jumps.

use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::AssertSqlSafe;

use super::{Fault, Felt};
use crate::campaign::Ground;

/// A jump, which stays: a jump back by as much would make waits out of leases
/// and backoffs that were counted from the time between.
pub(super) struct Jump {
    millis: i64,
    jumped: u64,
}

impl Jump {
    /// Up to an hour, so that every lease has lapsed.
    pub(super) fn ahead(chance: u64) -> Self {
        let seconds = StdRng::seed_from_u64(chance).random_range(5..3_600);
        Self { millis: seconds * 1_000, jumped: 0 }
    }

    /// As far as a clock that is set right may step.
    pub(super) fn back(chance: u64) -> Self {
        Self { millis: -StdRng::seed_from_u64(chance).random_range(200..3_000), jumped: 0 }
    }
}

impl Fault for Jump {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            let offset = ground.ledger_offset.load(Ordering::Relaxed) + self.millis;
            let statement = format!(
                "CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz
                 LANGUAGE sql STABLE PARALLEL SAFE
                 RETURN now() + interval '{offset} milliseconds'"
            );
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&ground.world.ledger).await?;
            ground.ledger_offset.store(offset, Ordering::Relaxed);
            self.jumped = self.millis.unsigned_abs();
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        std::future::ready(Ok(())).boxed_local()
    }

    fn felt<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        std::future::ready(Felt { what: "milliseconds jumped", count: self.jumped }).boxed_local()
    }
}
