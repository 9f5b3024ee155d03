//! What is done from time to time, by whoever gets to it.

use std::time::Duration;

use super::{Ledger, readmit_after, readmit_of};
use crate::domain::{Change, LaneName};
use crate::store::keys::{self, Key, Readmitted, Which};
use crate::store::{
    Promoted, Pruned, Ranked, Reaped, Retention, StoreError, Taken, isolate, lanes, outbox,
    promote, prune, ranking, reap,
};

/// A commit that takes longer means that others could not commit either.
const PROMPT: Duration = Duration::from_millis(500);

impl Ledger {
    /// Makes due jobs claimable, and fails those that were not started in
    /// time; some hundreds at a time.
    ///
    /// # Errors
    ///
    /// As all; promoting again does no harm. Of what came before, nothing is
    /// announced then: the relay does it.
    pub async fn promote(&self) -> Result<Promoted, StoreError> {
        let mut change =
            self.run(async |connection| promote::promote(connection, Which::Unkeyed).await).await?;
        let (keyed, next_due_in) = self
            .transact(|connection| {
                Box::pin(async move {
                    let mut change = promote::promote(&mut *connection, Which::Keyed).await?;
                    change.extend(promote::expire(&mut *connection).await?.unsent);
                    let change = readmit_after(&mut *connection, change).await?;
                    Ok((change, promote::next_due_in(connection).await?))
                })
            })
            .await?;
        change.extend(keyed.unsent);
        Ok(Promoted { change, next_due_in })
    }

    /// Gives back the attempts of workers silent for `silence`, some of them
    /// at a time.
    ///
    /// # Errors
    ///
    /// As all, and if the ledger does not commit at once: then nobody's silence
    /// counts, and nothing was written. Reaping again does no harm. Of what came
    /// before, nothing is announced: the relay does it.
    pub async fn reap(&self, silence: Duration) -> Result<Reaped, StoreError> {
        let running = self.run(async |connection| reap::running(connection, silence).await).await?;
        if !running.any_lost {
            return Ok(Reaped { change: Change::default(), is_more: false, busy: running.busy });
        }
        self.connections.run(PROMPT, reap::prove).await?;
        // Whoever makes room for a job that runs alone runs something: its loss is seen here.
        let mut change = self
            .run(async |connection| isolate::give_up_for_silent(connection, silence).await)
            .await?;
        let unkeyed = self
            .run(async |connection| reap::reap(connection, silence, Which::Unkeyed).await)
            .await?;
        let mut is_more = reap::is_full(&unkeyed);
        change.extend(unkeyed.unsent);
        if running.any_keyed {
            let keyed = self
                .transact(move |connection| {
                    Box::pin(async move {
                        let change = reap::reap(&mut *connection, silence, Which::Keyed).await?;
                        readmit_after(connection, change).await
                    })
                })
                .await?;
            is_more |= reap::is_full(&keyed);
            change.extend(keyed.unsent);
        }
        let busy =
            self.run(async |connection| reap::running(connection, silence).await).await?.busy;
        Ok(Reaped { change, is_more, busy })
    }

    /// Lets jobs go that are held back by a key although none of its jobs is
    /// claimable or running, as after a change that was rolled back. Looks at
    /// some hundreds of keys, after the given one.
    ///
    /// # Errors
    ///
    /// As all; asking again does no harm.
    pub async fn readmit_stranded(&self, after: Option<Key>) -> Result<Readmitted, StoreError> {
        let looked_at =
            self.run(async |connection| keys::stranded(connection, after).await).await?;
        Ok(Readmitted { change: self.readmit(looked_at.stranded).await?, go_on: looked_at.go_on })
    }

    /// The lanes whose waiting jobs may not all be ranked as their ageing says.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn unranked_lanes(&self) -> Result<Vec<LaneName>, StoreError> {
        self.run(async |connection| ranking::unranked(connection).await).await
    }

    /// Ranks jobs anew that wait in such a lane, some thousands at a time.
    ///
    /// # Errors
    ///
    /// As all; ranking again does no harm. Of what came before, nothing is
    /// announced: the relay does it.
    pub async fn rank_anew(&self, lane: &LaneName) -> Result<Ranked, StoreError> {
        let mut ranked = self.rank_batch(lane, Which::Unkeyed).await?;
        let keyed = self.rank_batch(lane, Which::Keyed).await?;
        ranked.jobs += keyed.jobs;
        ranked.change.extend(keyed.change.unsent);
        if ranked.jobs == 0 {
            self.run(async |connection| ranking::finish(connection, lane).await).await?;
        }
        Ok(ranked)
    }

    async fn rank_batch(&self, lane: &LaneName, which: Which) -> Result<Ranked, StoreError> {
        let lane = lane.clone();
        self.transact(move |connection| {
            Box::pin(async move {
                let ids = ranking::rank_anew(&mut *connection, &lane, which).await?;
                if ids.is_empty() {
                    return Ok(Ranked::default());
                }
                // Claims that came by meanwhile found them locked, and nothing else.
                let change = lanes::ring(&mut *connection, &lane).await?;
                let change = match which {
                    Which::Unkeyed => change,
                    Which::Keyed => readmit_of(connection, &ids, change).await?,
                };
                Ok(Ranked { jobs: ids.len(), change })
            })
        })
        .await
    }

    async fn readmit(&self, keys: Vec<Key>) -> Result<Change, StoreError> {
        if keys.is_empty() {
            return Ok(Change::default());
        }
        self.transact(move |connection| {
            Box::pin(async move { Ok(Change { unsent: keys::readmit(connection, &keys).await? }) })
        })
        .await
    }

    /// Lets go of some of what is older than it is kept: all but events.
    ///
    /// # Errors
    ///
    /// As all, if any part failed; pruning again does no harm.
    pub async fn prune(&self, retention: &Retention) -> Result<Pruned, StoreError> {
        let ended = self.run(async |connection| prune::ended(connection, retention).await).await;
        let dead = self.run(async |connection| prune::dead(connection, retention).await).await;
        let keys =
            self.run(async |connection| prune::idempotency_keys(connection, retention).await).await;
        let workers =
            self.run(async |connection| prune::workers(connection, retention).await).await;
        Ok(Pruned { jobs: ended? + dead?, idempotency_keys: keys?, workers: workers? })
    }

    /// Makes room for the events of the weeks to come, and lets go of whole weeks that are older
    /// than events are kept. Returns how many.
    ///
    /// # Errors
    ///
    /// As all, also where the table is too busy to be locked at once; rotating again does no harm.
    pub async fn rotate_events(&self, retention: &Retention) -> Result<i32, StoreError> {
        let made =
            self.run(async |connection| prune::make_event_partitions(connection).await).await;
        let dropped = self
            .run(async |connection| prune::drop_event_partitions(connection, retention).await)
            .await?;
        made.map(|()| dropped)
    }

    /// Strikes rows out of the outbox.
    ///
    /// # Errors
    ///
    /// As all; what stays is published again.
    pub async fn strike_out(&self, outbox_ids: &[i64]) -> Result<(), StoreError> {
        self.run(async |connection| outbox::strike_out(connection, outbox_ids).await).await
    }

    /// Takes rows of the outbox that are due, for `hold`.
    ///
    /// # Errors
    ///
    /// As all; what was taken is due again after `hold`.
    pub async fn take_due(&self, limit: i64, hold: Duration) -> Result<Taken, StoreError> {
        let rows =
            self.run(async |connection| outbox::take_due(connection, limit, hold).await).await?;
        let next_due_in = if rows.is_empty() {
            self.run(outbox::next_due_in).await?
        } else {
            Some(Duration::ZERO)
        };
        Ok(Taken { rows, next_due_in })
    }

    /// Counts a refusal by NATS against rows of the outbox. Returns how many
    /// were set aside by it.
    ///
    /// # Errors
    ///
    /// As all.
    pub async fn count_refusals(&self, outbox_ids: &[i64]) -> Result<u64, StoreError> {
        self.run(async |connection| outbox::count_refusals(connection, outbox_ids).await).await
    }
}
