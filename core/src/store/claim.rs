//! Taking jobs to run.

mod rows;

use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;

use super::StoreError;
use super::isolate::RESERVATION;
use crate::domain::{Change, Claimed, Frees, LaneName, Lease, TenantName, WorkerId};
use rows::{SightRow, read};

/// What a worker asks for.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Where to look.
    pub lane: LaneName,
    /// For whom.
    pub worker: WorkerId,
    /// Whose jobs, and how many of each tenant at most: first come the jobs of
    /// the first.
    pub shares: Vec<(TenantName, i32)>,
    /// The free GPUs: one job at most for each.
    pub gpu_ids: Vec<i32>,
    /// How long the lease holds unless renewed.
    pub lease: Duration,
}

/// What a claim brought.
#[derive(Debug, Default)]
pub struct Claims {
    /// In the order in which they are to run.
    pub jobs: Vec<Claimed>,
    /// Claimed all the same, and not to be run: fail them, or they are claimed
    /// again and again.
    pub unreadable: Vec<Unreadable>,
    /// What is owed to NATS.
    pub change: Change,
    /// What else was seen in the lane.
    pub sight: Sight,
}

/// What a claim sees of a lane besides the jobs that it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// The first and the last tenant, by name, of whom jobs were claimable.
    pub tenants: Option<(TenantName, TenantName)>,
    /// A job waits to be run alone, and no other worker makes room for it.
    pub any_isolated: bool,
    /// A job waits to be run alone for which another worker makes room.
    pub any_reserved: bool,
    /// The lane's rate allows no other start before this.
    pub next_start_in: Option<Duration>,
}

/// A claimed job whose row cannot be read, such as one for a tool that only
/// newer workers know.
#[derive(Debug)]
pub struct Unreadable {
    /// The right to fail it.
    pub lease: Lease,
    /// What its end makes room for.
    pub frees: Frees,
    /// What is wrong with it.
    pub error: StoreError,
}

/// Leases claimable jobs of a lane to a worker, one at most for each GPU given:
/// those of the first tenant first, and of each tenant the highest rank first,
/// then the oldest. A paused lane gives nothing, and one whose starts are
/// limited what its rate allows.
///
/// Jobs that another claim has locked are skipped, not waited for, so fewer
/// than asked for, or none, can come back although the lane holds more.
///
/// # Errors
///
/// [`StoreError::Database`]: if jobs were claimed after all, the reaper gives
/// them back. [`StoreError::Corrupt`], of an event of ours: likewise.
#[expect(clippy::too_many_lines, reason = "one statement, with many columns")]
pub(super) async fn claim(
    connection: &mut PgConnection,
    claim: &Claim,
) -> Result<Claims, StoreError> {
    let tenants: Vec<_> = claim.shares.iter().map(|(tenant, _)| tenant.to_string()).collect();
    let quotas: Vec<_> = claim.shares.iter().map(|(_, quota)| *quota).collect();
    let rows = sqlx::query_as!(
        SightRow,
        r#"
        WITH bucket AS MATERIALIZED (
            -- Claims of a lane whose starts are limited take turns here.
            SELECT per_second, refilled(lane_buckets) AS tokens
            FROM lane_buckets
            WHERE lane = $1
            FOR UPDATE
        ),
        isolated AS MATERIALIZED (
            SELECT
                -- Nobody makes room for it, or the one who did is gone.
                isolated_for IS NULL OR isolated_for = $2 OR NOT EXISTS (
                    SELECT
                    FROM workers
                    WHERE id = isolated_for AND heartbeat_at >= ledger_now() - $7::interval
                ) AS is_free,
                -- One that is reserved has drawn its token.
                isolated_for IS NULL AS is_unpaid
            FROM jobs
            WHERE lane = $1 AND state = 'queued' AND NOT held_by_key AND deaths >= 2
        ),
        open AS MATERIALIZED (
            SELECT
                lanes.retry,
                LEAST(
                    cardinality($5::int[]),
                    (
                        -- Else a lane that is used up never starts what is to run alone.
                        SELECT GREATEST(0, floor(tokens)::int
                            - EXISTS (SELECT FROM isolated WHERE is_unpaid)::int)
                        FROM bucket
                    )
                ) AS room
            FROM lanes
            WHERE name = $1 AND paused_at IS NULL
        ),
        candidate AS MATERIALIZED (
            SELECT best.id, best.rank, share.place
            FROM open
            CROSS JOIN UNNEST($3::text[], $4::int[])
                WITH ORDINALITY AS share (tenant, quota, place)
            CROSS JOIN LATERAL (
                SELECT id, rank
                FROM jobs
                WHERE lane = $1
                  AND tenant = share.tenant
                  AND state = 'queued'
                  AND NOT held_by_key
                  AND deaths < 2
                  -- Those that were not started in time are for the promoter to fail.
                  AND (start_by IS NULL OR start_by > ledger_now() OR started_at IS NOT NULL)
                ORDER BY rank DESC, id
                LIMIT LEAST(share.quota, open.room)
                FOR UPDATE SKIP LOCKED
            ) AS best
        ),
        numbered AS (
            SELECT id, row_number() OVER (ORDER BY place, rank DESC, id) AS place
            FROM candidate
        ),
        next AS MATERIALIZED (
            SELECT array_agg(id ORDER BY place) AS ids
            FROM numbered
            WHERE place <= (SELECT room FROM open)
        ),
        changed AS (
            UPDATE jobs
            SET state = 'running',
                attempt = attempt + 1,
                worker = $2,
                gpu_id = ($5::int[])[array_position((SELECT ids FROM next), id)],
                lease_expires_at = ledger_now() + $6,
                started_at = ledger_now(),
                progress = NULL,
                event_seq = event_seq + 1,
                event_xid = GREATEST(event_xid, ledger_xid())
            -- Not by a join, of which each row would look through all ids.
            WHERE id = ANY((SELECT ids FROM next)::uuid[])
            RETURNING *
        ),
        drained AS (
            UPDATE lane_buckets
            SET tokens = bucket.tokens - (SELECT COALESCE(cardinality(ids), 0) FROM next),
                refilled_at = refilled_until(lane_buckets.refilled_at)
            FROM bucket
            WHERE lane = $1
        ),
        claimed AS MATERIALIZED (
            SELECT
                *,
                jsonb_strip_nulls(jsonb_build_object(
                    'name', name,
                    'worker', worker,
                    'gpu_id', gpu_id,
                    'traceparent', traceparent
                )) AS details
            FROM changed
        ),
        event AS (
            INSERT INTO job_events
                (job_id, seq, kind, state, attempt, created_at, lane, tenant, xid, details)
            SELECT id, event_seq, state, state, attempt, started_at, lane, tenant, event_xid,
                   details
            FROM claimed
        ),
        owed AS (
            INSERT INTO outbox (job_ids, seqs, due_at)
            SELECT
                array_agg(id ORDER BY id),
                array_agg(event_seq ORDER BY id),
                ledger_now() + interval '1 s'
            FROM changed
            HAVING count(*) > 0
            RETURNING id
        ),
        sight AS (
            SELECT
                (
                    SELECT tenant
                    FROM jobs
                    WHERE lane = $1 AND state = 'queued' AND NOT held_by_key AND deaths < 2
                    -- By the index that tells jobs apart: in one that does not, the dead
                    -- entries of claimed jobs are passed again and again.
                    ORDER BY tenant, rank DESC, id
                    LIMIT 1
                ) AS first_tenant,
                (
                    SELECT tenant
                    FROM jobs
                    WHERE lane = $1 AND state = 'queued' AND NOT held_by_key AND deaths < 2
                    ORDER BY tenant DESC, rank, id DESC
                    LIMIT 1
                ) AS last_tenant,
                EXISTS (SELECT FROM isolated WHERE is_free) AS any_isolated,
                EXISTS (SELECT FROM isolated WHERE NOT is_free) AS any_reserved,
                (
                    SELECT GREATEST(
                        0,
                        1 - left_over.tokens
                            -- It draws the token that it finds, if there is one.
                            + (left_over.tokens >= 1
                               AND EXISTS (SELECT FROM isolated WHERE is_unpaid))::int
                    ) / per_second
                    FROM bucket
                    CROSS JOIN LATERAL (
                        SELECT bucket.tokens - (SELECT COALESCE(cardinality(ids), 0) FROM next)
                            AS tokens
                    ) AS left_over
                ) AS next_start_s
        )
        SELECT
            sight.first_tenant,
            sight.last_tenant,
            sight.any_isolated AS "any_isolated!",
            sight.any_reserved AS "any_reserved!",
            sight.next_start_s,
            owed.id AS "outbox_id?",
            claimed.name AS "name?",
            claimed.tool AS "tool?",
            claimed.params AS "params?",
            claimed.gpu_id AS "gpu_id?",
            claimed.failures AS "failures?",
            claimed.max_attempts AS "max_attempts?",
            claimed.timeout_ms AS "timeout_ms?",
            (SELECT retry FROM open) || claimed.retry AS "retry?",
            claimed.concurrency_key IS NOT NULL AS "is_keyed?",
            claimed.traceparent AS "traceparent?",
            claimed.id AS "job_id?",
            claimed.event_seq AS "seq?",
            claimed.state AS "kind?",
            claimed.state AS "state?",
            claimed.attempt AS "attempt?",
            claimed.started_at AS "created_at?",
            claimed.tenant AS "tenant?",
            claimed.event_xid AS "xid?",
            claimed.details AS "details?"
        FROM sight
        LEFT JOIN (claimed CROSS JOIN owed) ON true
        ORDER BY array_position((SELECT ids FROM next), claimed.id)
        "#,
        claim.lane.as_str(),
        claim.worker.0,
        &tenants,
        &quotas,
        &claim.gpu_ids,
        interval(claim.lease),
        interval(RESERVATION),
    )
    .fetch_all(connection)
    .await?;
    read(rows, &claim.lane)
}

/// A span of time as PostgreSQL takes it, to the microsecond.
pub(super) fn interval(span: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(span.as_micros()).unwrap_or(i64::MAX),
    }
}
