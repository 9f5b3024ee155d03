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
                RETURNING *
            ),
            owed AS (
                INSERT INTO outbox (job_id, seq, ring, due_at)
                SELECT id, event_seq, ring, ledger_now() + interval '1 s'
                FROM changed
                RETURNING id, job_id, seq, ring
            )
            SELECT
                owed.id AS outbox_id,
                owed.ring,
                event.job_id,
                event.seq,
                event.kind,
                event.state,
                event.attempt,
                event.created_at,
                event.lane,
                event.tenant,
                event.xid,
                event.details
            FROM event
            JOIN owed ON owed.job_id = event.job_id AND owed.seq = event.seq
            ORDER BY event.job_id
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

/// What lanes that are rung, each with its row of the outbox, owe to NATS.
pub(super) fn rung(
    rows: impl Iterator<Item = (i64, Option<String>)>,
) -> Result<Change, StoreError> {
    let unsent = rows
        .map(|(id, ring)| Ok(Unsent { outbox_id: id, event: None, ring: lane(ring, id)? }))
        .collect::<Result<_, StoreError>>()?;
    Ok(Change { unsent })
}
