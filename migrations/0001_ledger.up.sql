-- The ledger: jobs, their events, and what still has to reach NATS.
-- The CHECKs state what every reader may rely on.

-- The clock of leases and due times. Tests replace it with one that adds an offset.
CREATE FUNCTION ledger_now() RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN now();

-- The writing transaction as a number that sqlx can carry.
CREATE FUNCTION ledger_xid() RETURNS bigint
    LANGUAGE sql STABLE PARALLEL RESTRICTED
    RETURN pg_current_xact_id()::text::bigint;

CREATE TABLE lanes (
    name       text        PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT lanes_name_is_a_token CHECK (name ~ '^[a-z][a-z0-9-]{0,31}$')
);

INSERT INTO lanes (name) VALUES ('default');

CREATE TABLE workers (
    id           uuid        PRIMARY KEY,
    slots        integer     NOT NULL,
    started_at   timestamptz NOT NULL,
    -- Moved by every renewal; a worker that holds attempts and is silent is dead.
    heartbeat_at timestamptz NOT NULL,

    CONSTRAINT workers_slots_not_negative CHECK (slots >= 0)
)
WITH (fillfactor = 50);

CREATE TABLE jobs (
    id                  uuid        PRIMARY KEY, -- UUIDv7: sorts by age
    tenant              text        NOT NULL,
    lane                text        NOT NULL, -- no foreign key: its share locks on one parent row would pile up
    name                text        NOT NULL,
    tool                text        NOT NULL,
    params              jsonb       NOT NULL,
    priority            integer     NOT NULL,
    state               text        NOT NULL,
    attempt             integer     NOT NULL DEFAULT 0,
    failures            integer     NOT NULL DEFAULT 0,
    max_attempts        integer     NOT NULL,
    run_at              timestamptz NOT NULL,
    timeout_ms          bigint,
    concurrency_key     text,
    -- Queued, but another job with its key goes first.
    held_by_key         boolean     NOT NULL DEFAULT false,
    submitted_by        text,
    traceparent         text,
    worker              uuid,
    gpu_id              integer,
    lease_expires_at    timestamptz,
    progress            real,
    result              jsonb,
    error               jsonb,
    created_at          timestamptz NOT NULL,
    started_at          timestamptz,
    finished_at         timestamptz,
    cancel_requested_at timestamptz,
    event_seq           integer     NOT NULL DEFAULT 1,
    -- The transaction of the latest event, never smaller than the one before:
    -- so a job's events sort by it too.
    event_xid           bigint      NOT NULL,

    CONSTRAINT jobs_state_known CHECK (
        state IN ('scheduled', 'queued', 'running', 'completed', 'failed', 'cancelled')
    ),
    CONSTRAINT jobs_tenant_is_a_token CHECK (tenant ~ '^[a-z][a-z0-9-]{0,31}$'),
    CONSTRAINT jobs_name_not_blank CHECK (name ~ '\S'),
    CONSTRAINT jobs_params_is_object CHECK (jsonb_typeof(params) = 'object'),
    CONSTRAINT jobs_lease_iff_running CHECK ((state = 'running') = (lease_expires_at IS NOT NULL)),
    CONSTRAINT jobs_running_has_worker CHECK (
        state <> 'running' OR (worker IS NOT NULL AND gpu_id IS NOT NULL AND attempt > 0)
    ),
    CONSTRAINT jobs_finished_iff_final CHECK (
        (state IN ('completed', 'failed', 'cancelled')) = (finished_at IS NOT NULL)
    ),
    CONSTRAINT jobs_failed_has_error CHECK (state <> 'failed' OR error IS NOT NULL),
    CONSTRAINT jobs_result_only_completed CHECK (result IS NULL OR state = 'completed'),
    CONSTRAINT jobs_failures_within_attempts CHECK (failures BETWEEN 0 AND attempt),
    CONSTRAINT jobs_max_attempts_positive CHECK (max_attempts > 0),
    CONSTRAINT jobs_timeout_positive CHECK (timeout_ms > 0),
    CONSTRAINT jobs_progress_is_a_share CHECK (progress BETWEEN 0 AND 1),
    CONSTRAINT jobs_held_is_keyed_and_queued CHECK (
        NOT held_by_key OR (concurrency_key IS NOT NULL AND state = 'queued')
    )
)
-- Room on each page for the new versions that claims and settlements write.
WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE INDEX jobs_claimable_idx ON jobs (lane, priority DESC, id)
    WHERE state = 'queued' AND NOT held_by_key;
CREATE INDEX jobs_due_idx ON jobs (run_at) WHERE state = 'scheduled';
-- No lease_expires_at in any index, so that renewals stay on their page.
CREATE INDEX jobs_running_idx ON jobs (worker) WHERE state = 'running';
CREATE INDEX jobs_keyed_idx ON jobs (tenant, concurrency_key, priority DESC, id)
    WHERE concurrency_key IS NOT NULL AND state IN ('queued', 'running');
CREATE INDEX jobs_listing_idx ON jobs (tenant, id DESC);

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
);

-- The order in which a resuming watcher reads.
CREATE INDEX job_events_feed_idx ON job_events (xid, job_id, seq);

-- What a committed change still owes to NATS: an event, a doorbell, or both.
-- Written with the change, struck out when NATS has it.
CREATE TABLE outbox (
    id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id uuid,
    seq    integer,
    ring   text,
    -- The process that committed has until then to publish it itself.
    due_at timestamptz NOT NULL,
    tries  integer     NOT NULL DEFAULT 0,
    -- Refused too often: kept for a person to look at, never in the relay's way.
    aside  boolean     NOT NULL DEFAULT false,

    CONSTRAINT outbox_owes_something CHECK (seq IS NOT NULL OR ring IS NOT NULL),
    CONSTRAINT outbox_event_is_whole CHECK ((job_id IS NULL) = (seq IS NULL))
)
WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE INDEX outbox_due_idx ON outbox (due_at) WHERE NOT aside;
