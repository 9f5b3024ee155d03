DROP INDEX jobs_ended_idx;

-- Makes the partition of the week of a time, unless it is there.
CREATE OR REPLACE FUNCTION make_event_partition(at timestamptz) RETURNS void
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

-- Drops whole weeks of events: those of which no job and no recent event is
-- left. Returns how many.
CREATE OR REPLACE FUNCTION drop_event_partitions(older_than interval) RETURNS integer
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
