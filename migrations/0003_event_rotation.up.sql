-- By which old jobs are found without passing the dead letters, which are kept longer.
CREATE INDEX jobs_ended_idx ON jobs (id) WHERE state IN ('completed', 'cancelled');

-- Makes the partition of the week of a time, unless it is there.
CREATE OR REPLACE FUNCTION make_event_partition(at timestamptz) RETURNS void
    LANGUAGE plpgsql
    SET search_path FROM CURRENT
    -- Readers and writers wait behind us while we wait: rather try again later.
    SET lock_timeout = '100ms'
AS $$
DECLARE
    start timestamptz := week_of(at);
    name  text        := 'job_events_' || to_char(start AT TIME ZONE 'UTC', 'YYYYMMDD');
BEGIN
    IF to_regclass(name) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Made apart and then attached: that locks out who reads and writes only for as long as it
    -- takes to see that the events of far-off clocks have none of the week.
    EXECUTE format('CREATE TABLE %I (LIKE job_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    -- They may have some, of a clock that was ahead.
    EXECUTE format(
        'WITH moved AS (
            DELETE FROM job_events_stray WHERE job_id >= %L AND job_id < %L RETURNING *
        )
        INSERT INTO %I SELECT * FROM moved',
        uuid_of(start), uuid_of(start + interval '7 days'), name
    );
    EXECUTE format(
        'ALTER TABLE job_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        name, uuid_of(start), uuid_of(start + interval '7 days')
    );
END
$$;

-- Drops whole weeks of events: those of which no job and no recent event is
-- left. Returns how many. Looks at a few rows of each, however many it has.
CREATE OR REPLACE FUNCTION drop_event_partitions(older_than interval) RETURNS integer
    LANGUAGE plpgsql
    SET search_path FROM CURRENT
    -- Writers wait behind us while we wait: rather try again later.
    SET lock_timeout = '100ms'
AS $$
DECLARE
    part    record;
    last    record;
    is_used boolean;
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
        SELECT EXISTS (
            SELECT
            FROM jobs
            WHERE id < part.upper
              AND id >= COALESCE(part.lower, '00000000-0000-0000-0000-000000000000')
        )
        INTO is_used;
        CONTINUE WHEN is_used;

        -- By the index of the feed. Transactions last for seconds at most, so the last of them
        -- has an event as recent as any, by the days that count here.
        EXECUTE format(
            'SELECT xid, created_at FROM %s ORDER BY xid DESC, job_id DESC, seq DESC LIMIT 1',
            part.name
        )
        INTO last;
        CONTINUE WHEN last.created_at > ledger_now() - older_than;

        UPDATE event_horizon SET xid = GREATEST(xid, last.xid);
        EXECUTE format('DROP TABLE %s', part.name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
