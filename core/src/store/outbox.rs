//! What committed changes still owe to NATS.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::claim::interval;
use super::row::{EventRow, lane};
use crate::domain::Unsent;

/// How often NATS may refuse a row before it is set aside.
const MAX_REFUSALS: i32 = 20;

/// What a look at the outbox brought.
#[derive(Debug)]
pub struct Taken {
    /// What is to be sent now: of each row, all of it.
    pub rows: Vec<Due>,
    /// How long until to look again, zero if there were rows; `None` if nothing
    /// is owed.
    pub next_due_in: Option<Duration>,
}

/// A part of a row of the outbox that is to be sent now.
#[derive(Debug)]
pub struct Due {
    /// The row.
    pub outbox_id: i64,
    /// What it owes, for one; an error if that cannot be read, which is no other
    /// row's trouble.
    pub owed: Result<Unsent, StoreError>,
}

/// A part of a row of the outbox: a lane to ring, and an event, whose columns
/// are null if there is none or it was pruned.
struct DueRow {
    outbox_id: i64,
    ring: Option<String>,
    job_id: Option<Uuid>,
    seq: Option<i32>,
    kind: Option<String>,
    state: Option<String>,
    attempt: Option<i32>,
    created_at: Option<DateTime<Utc>>,
    lane: Option<String>,
    tenant: Option<String>,
    xid: Option<i64>,
    details: Option<Value>,
}

/// Strikes out what NATS has.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; what stays is published again.
pub(super) async fn strike_out(
    connection: &mut PgConnection,
    ids: &[i64],
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        DELETE FROM outbox
        WHERE id = ANY($1)
          -- Nobody waits for the disk: what comes back after a crash is published again.
          AND (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL
        "#,
        ids,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes due rows for `hold`: until then no other relay takes them. Longest
/// due first; a job's events in their order as far as they are due.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown; what was taken is due again after `hold`.
pub(super) async fn take_due(
    connection: &mut PgConnection,
    limit: i64,
    hold: Duration,
) -> Result<Vec<Due>, StoreError> {
    let rows = sqlx::query_as!(
        DueRow,
        r#"
        WITH due AS (
            SELECT id
            FROM outbox
            WHERE due_at <= ledger_now() AND NOT aside
            ORDER BY due_at
            LIMIT $1
            FOR UPDATE SKIP LOCKED
        ),
        taken AS (
            UPDATE outbox
            SET due_at = ledger_now() + $2::interval
            WHERE id = ANY(ARRAY(SELECT id FROM due))
            RETURNING id, job_ids, seqs, rings
        )
        SELECT
            taken.id AS outbox_id,
            owed.ring,
            event.job_id AS "job_id?",
            event.seq AS "seq?",
            event.kind AS "kind?",
            event.state AS "state?",
            event.attempt AS "attempt?",
            event.created_at AS "created_at?",
            event.lane AS "lane?",
            event.tenant AS "tenant?",
            event.xid AS "xid?",
            event.details AS "details?"
        FROM taken
        -- The shorter of them end in nulls.
        CROSS JOIN LATERAL UNNEST(taken.job_ids, taken.seqs, taken.rings)
            WITH ORDINALITY AS owed (job_id, seq, ring, place)
        LEFT JOIN job_events AS event ON event.job_id = owed.job_id AND event.seq = owed.seq
        ORDER BY taken.id, owed.place
        "#,
        limit,
        interval(hold),
    )
    .fetch_all(connection)
    .await?;

    Ok(rows.into_iter().map(|row| Due { outbox_id: row.outbox_id, owed: row.read() }).collect())
}

impl DueRow {
    fn read(self) -> Result<Unsent, StoreError> {
        let Self { outbox_id, ring, .. } = self;
        let ring = lane(ring, outbox_id)?;
        let Self {
            job_id: Some(job_id),
            seq: Some(seq),
            kind: Some(kind),
            state: Some(state),
            attempt: Some(attempt),
            created_at: Some(created_at),
            lane: Some(lane),
            tenant: Some(tenant),
            xid: Some(xid),
            details: Some(details),
            ..
        } = self
        else {
            // A pruned event leaves nothing to tell: the row is struck out as sent.
            return Ok(Unsent { outbox_id, event: None, ring });
        };
        let event =
            EventRow { job_id, seq, kind, state, attempt, created_at, lane, tenant, xid, details };
        Ok(Unsent { outbox_id, event: Some(event.try_into()?), ring })
    }
}

/// Counts a refusal by NATS against each row; one refused too often is set
/// aside. Returns how many were.
///
/// # Errors
///
/// [`StoreError::Database`]: unknown.
pub(super) async fn count_refusals(
    connection: &mut PgConnection,
    ids: &[i64],
) -> Result<u64, StoreError> {
    let aside = sqlx::query_scalar!(
        r#"
        UPDATE outbox
        SET tries = tries + 1, aside = tries + 1 >= $2
        WHERE id = ANY($1)
        RETURNING aside
        "#,
        ids,
        MAX_REFUSALS,
    )
    .fetch_all(connection)
    .await?;
    Ok(aside.into_iter().filter(|aside| *aside).count() as u64)
}

/// How long until a row is due, zero if one is overdue; `None` if nothing is owed.
///
/// # Errors
///
/// [`StoreError::Database`].
pub(super) async fn next_due_in(
    connection: &mut PgConnection,
) -> Result<Option<Duration>, StoreError> {
    let seconds = sqlx::query_scalar!(
        r#"
        SELECT EXTRACT(EPOCH FROM due_at - ledger_now())::float8 AS "seconds!"
        FROM outbox
        WHERE NOT aside
        ORDER BY due_at
        LIMIT 1
        "#,
    )
    .fetch_optional(connection)
    .await?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
}
