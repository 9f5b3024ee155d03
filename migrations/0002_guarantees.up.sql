-- Keys that make a submit repeatable, lanes with a policy of their own, shares
-- between tenants, limits per key, jobs that run alone, and events in
-- partitions that can be dropped whole.

ALTER TABLE lanes
    ADD COLUMN paused_at    timestamptz,
    -- At most so many waiting jobs of one tenant; null for no limit.
    ADD COLUMN max_waiting  integer,
    -- A waiting job gains one step of priority in so many seconds; null for never.
    ADD COLUMN ageing_s     integer,
    -- For jobs that do not say so themselves; null for the product's default.
    ADD COLUMN max_attempts integer,
    ADD COLUMN retry        jsonb NOT NULL DEFAULT '{}',

    ADD CONSTRAINT lanes_max_waiting_positive CHECK (max_waiting > 0),
    ADD CONSTRAINT lanes_ageing_positive CHECK (ageing_s > 0),
    ADD CONSTRAINT lanes_max_attempts_positive CHECK (max_attempts > 0),
    ADD CONSTRAINT lanes_retry_is_object CHECK (jsonb_typeof(retry) = 'object');

-- A lane whose starts are limited has a row here: a token bucket, locked by each claim.
CREATE TABLE lane_buckets (
    lane        text             PRIMARY KEY REFERENCES lanes (name) ON DELETE CASCADE,
    per_second  double precision NOT NULL,
    burst       integer          NOT NULL,
    tokens      double precision NOT NULL,
    refilled_at timestamptz      NOT NULL,

    CONSTRAINT lane_buckets_rate_positive CHECK (per_second > 0),
    CONSTRAINT lane_buckets_burst_positive CHECK (burst > 0)
)
WITH (fillfactor = 50);

-- How much of a lane a tenant gets while several have jobs waiting there.
CREATE TABLE lane_shares (
    lane   text    NOT NULL REFERENCES lanes (name) ON DELETE CASCADE,
    tenant text    NOT NULL,
    weight integer NOT NULL,

    PRIMARY KEY (lane, tenant),
    CONSTRAINT lane_shares_tenant_is_a_token CHECK (tenant ~ '^[a-z][a-z0-9-]{0,31}$'),
    CONSTRAINT lane_shares_weight_positive CHECK (weight BETWEEN 1 AND 1000)
);

-- How many jobs of a key may run at once, where it is not one.
CREATE TABLE concurrency_limits (
    tenant        text    NOT NULL,
    name          text    NOT NULL,
    max_running   integer NOT NULL,
    -- A job keeps its place until it is final, also while it waits for a retry.
    is_sequential boolean NOT NULL,

    PRIMARY KEY (tenant, name),
    CONSTRAINT concurrency_limits_not_negative CHECK (max_running >= 0)
);

-- What was answered to a submit that carried a key: the job as it was accepted.
CREATE TABLE idempotency_keys (
    tenant      text        NOT NULL,
    key         text        NOT NULL,
    -- SHA-256 of what was asked for.
    fingerprint bytea       NOT NULL,
    job_id      uuid        NOT NULL, -- no foreign key: outlives the job
    job         jsonb       NOT NULL,
    created_at  timestamptz NOT NULL,

    PRIMARY KEY (tenant, key)
);

CREATE INDEX idempotency_keys_age_idx ON idempotency_keys (created_at);

ALTER TABLE jobs
    -- What ageing adds to the priority: less, the later the job came.
    ADD COLUMN aged         double precision,
    ADD COLUMN rank         double precision NOT NULL
        GENERATED ALWAYS AS (priority + COALESCE(aged, 0)) STORED,
    -- Fails if it was never started by then.
    ADD COLUMN start_by     timestamptz,
    ADD COLUMN retry        jsonb NOT NULL DEFAULT '{}',
    -- Workers that died while they held it. From two on it runs alone.
    ADD COLUMN deaths       integer NOT NULL DEFAULT 0,
    -- The worker that makes room to run it alone.
    ADD COLUMN isolated_for uuid,

    ADD CONSTRAINT jobs_retry_is_object CHECK (jsonb_typeof(retry) = 'object'),
    ADD CONSTRAINT jobs_deaths_not_negative CHECK (deaths >= 0);

DROP INDEX jobs_claimable_idx;
CREATE INDEX jobs_claimable_idx ON jobs (lane, tenant, rank DESC, id)
    WHERE state = 'queued' AND NOT held_by_key AND deaths < 2;
CREATE INDEX jobs_isolated_idx ON jobs (lane, rank DESC, id)
    WHERE state = 'queued' AND NOT held_by_key AND deaths >= 2;

-- The jobs that take up a key's room, and those that wait for it: a full key's
-- waiting jobs are in no index that a claim or a count reads.
DROP INDEX jobs_keyed_idx;
CREATE INDEX jobs_key_taken_idx ON jobs (tenant, concurrency_key)
    WHERE concurrency_key IS NOT NULL
      AND (state = 'running'
           OR (state = 'queued' AND NOT held_by_key)
           OR (state = 'scheduled' AND attempt > 0));
CREATE INDEX jobs_key_held_idx ON jobs (tenant, concurrency_key, rank DESC, id)
    WHERE held_by_key;

-- How deep a tenant's part of a lane is.
CREATE INDEX jobs_waiting_idx ON jobs (lane, tenant) WHERE state IN ('scheduled', 'queued');
CREATE INDEX jobs_start_by_idx ON jobs (start_by)
    WHERE started_at IS NULL AND state IN ('scheduled', 'queued') AND start_by IS NOT NULL;
CREATE INDEX jobs_dead_idx ON jobs (tenant, id DESC) WHERE state = 'failed';

-- A job's events lie together, in the partition of the job's age: ids sort by it.
ALTER TABLE job_events RENAME TO job_events_first;
ALTER TABLE job_events_first RENAME CONSTRAINT job_events_pkey TO job_events_first_pkey;
ALTER INDEX job_events_feed_idx RENAME TO job_events_first_feed_idx;

CREATE TABLE job_events (
    job_id     uuid        NOT NULL, -- no foreign key: a deleted job's events stay
    seq        integer     NOT NULL,
    kind       text        NOT NULL,
    state      text        NOT NULL,
    attempt    integer     NOT NULL,
    created_at timestamptz NOT NULL,
    lane       text        NOT NULL,
    tenant     text        NOT NULL,
    xid        bigint      NOT NULL,
    details    jsonb       NOT NULL,

    PRIMARY KEY (job_id, seq),
    CONSTRAINT job_events_seq_from_one CHECK (seq > 0),
    CONSTRAINT job_events_details_is_object CHECK (jsonb_typeof(details) = 'object')
)
PARTITION BY RANGE (job_id);

-- The order in which a resuming watcher reads.
CREATE INDEX job_events_feed_idx ON job_events (xid, job_id, seq);

-- The smallest UUIDv7 of a time.
CREATE FUNCTION uuid_of(at timestamptz) RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
            || '00000000000000000000')::uuid;

-- Where a week begins, by which events are kept together.
CREATE FUNCTION week_of(at timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN date_trunc('week', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';

-- Makes the partition of the week of a time, unless it is there.
CREATE FUNCTION make_event_partition(at timestamptz) RETURNS void
    LANGUAGE plpgsql
    SET search_path FROM CURRENT
AS $$
DECLARE
    start timestamptz := week_of(at);
    name  text        := 'job_events_' || to_char(start AT TIME ZONE 'UTC', 'YYYYMMDD');
BEGIN
    IF to_regclass(name) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Made apart and then attached: that locks out neither readers nor writers.
    EXECUTE format('CREATE TABLE %I (LIKE job_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format(
        'ALTER TABLE job_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        name, uuid_of(start), uuid_of(start + interval '7 days')
    );
END
$$;

DO $$
DECLARE
    first_week timestamptz := week_of(now() + interval '8 days');
BEGIN
    -- What was written so far, and what comes until a Monday in 1 to 8 days.
    EXECUTE format(
        'ALTER TABLE job_events ATTACH PARTITION job_events_first FOR VALUES FROM (MINVALUE) TO (%L)',
        uuid_of(first_week)
    );
    PERFORM make_event_partition(first_week);
END
$$;

-- Ids of clocks that are far off. Empty, unless there are such.
CREATE TABLE job_events_stray PARTITION OF job_events DEFAULT;

-- Events of this transaction and of earlier ones may be gone.
CREATE TABLE event_horizon (
    xid bigint NOT NULL
);

INSERT INTO event_horizon (xid) VALUES (0);

-- Drops whole weeks of events: those of which no job and no recent event is
-- left. Returns how many.
CREATE FUNCTION drop_event_partitions(older_than interval) RETURNS integer
    LANGUAGE plpgsql
    SET search_path FROM CURRENT
    -- Writers wait behind us while we wait: rather try again later.
    SET lock_timeout = '100ms'
AS $$
DECLARE
    part    record;
    is_used boolean;
    last    bigint;
    dropped integer := 0;
BEGIN
    FOR part IN
        SELECT
            pg_class.oid::regclass AS name,
            (regexp_match(bound, 'FROM \(''([0-9a-f-]+)''\)'))[1]::uuid AS lower,
            (regexp_match(bound, 'TO \(''([0-9a-f-]+)''\)'))[1]::uuid AS upper
        FROM pg_inherits
        JOIN pg_class ON pg_class.oid = inhrelid
        CROSS JOIN LATERAL pg_get_expr(relpartbound, pg_class.oid) AS bound
        WHERE inhparent = 'job_events'::regclass
    LOOP
        -- The one for stray ids has no bounds, and stays.
        CONTINUE WHEN part.upper IS NULL OR part.upper > uuid_of(ledger_now() - older_than);
        EXECUTE format(
            'SELECT EXISTS (SELECT FROM jobs WHERE id < $1 AND (id >= $2 OR $2 IS NULL))
                 OR EXISTS (SELECT FROM %s WHERE created_at > $3)',
            part.name
        )
        INTO is_used
        USING part.upper, part.lower, ledger_now() - older_than;
        CONTINUE WHEN is_used;

        EXECUTE format('SELECT max(xid) FROM %s', part.name) INTO last;
        UPDATE event_horizon SET xid = GREATEST(xid, last);
        EXECUTE format('DROP TABLE %s', part.name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
