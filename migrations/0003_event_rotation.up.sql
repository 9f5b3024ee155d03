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
            SELECT FROM jobs WHERE id < part.upper AND (id >= part.lower OR part.lower IS NULL)
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
