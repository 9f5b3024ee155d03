//! The end that every change of a job shares.

use super::StoreError;
use super::row::{UnsentRow, lane};
use crate::domain::{Change, Unsent};

/// A statement that changes jobs, and with it writes their next events and
/// what is owed to NATS.
///
/// The text given opens with `WITH` and ends in a part named `changed` that
/// yields, per job: `id`, `event_seq`, `event_xid`, `kind`, `state`,
/// `attempt`, `lane`, `tenant`, `details`, and `ring` (a lane or null).
macro_rules! query_change {
    ($head:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            $crate::store::row::UnsentRow,
            $head + r#",
            event AS (
                INSERT INTO job_events
                    (job_id, seq, kind, state, attempt, created_at, lane, tenant, xid, details)
                SELECT id, event_seq, kind, state, attempt, ledger_now(), lane, tenant, event_xid,
                       details
                FROM changed
            ),
            owed AS (
                INSERT INTO outbox (job_ids, seqs, rings, due_at)
                SELECT
                    array_agg(id ORDER BY id),
                    array_agg(event_seq ORDER BY id),
                    COALESCE(array_agg(DISTINCT ring) FILTER (WHERE ring IS NOT NULL), '{}'),
                    ledger_now() + interval '1 s'
                FROM changed
                HAVING count(*) > 0
                RETURNING id
            )
            SELECT
                owed.id AS "outbox_id!",
                changed.ring,
                changed.id AS "job_id!",
                changed.event_seq AS "seq!",
                changed.kind AS "kind!",
                changed.state AS "state!",
                changed.attempt AS "attempt!",
                ledger_now() AS "created_at!",
                changed.lane AS "lane!",
                changed.tenant AS "tenant!",
                changed.event_xid AS "xid!",
                changed.details AS "details!"
            FROM changed
            CROSS JOIN owed
            ORDER BY changed.id
            "#
            $(, $argument)*
        )
    };
}

/// What the rows of a change owe to NATS.
pub(super) fn change(rows: Vec<UnsentRow>) -> Result<Change, StoreError> {
    let unsent = rows.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
    Ok(Change { unsent })
}

/// What rows of the outbox that only ring lanes owe to NATS.
pub(super) fn rung(rows: impl Iterator<Item = (i64, Vec<String>)>) -> Result<Change, StoreError> {
    let mut unsent = Vec::new();
    for (outbox_id, rings) in rows {
        for ring in rings {
            let ring = lane(Some(ring), outbox_id)?;
            unsent.push(Unsent { outbox_id, event: None, ring });
        }
    }
    Ok(Change { unsent })
}
