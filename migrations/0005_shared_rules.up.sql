-- Rules that several statements share, each in one place, and lanes whose waiting jobs are
-- still to be ranked as their ageing says now.

-- What a job's age takes from its rank: more, the later it came. Null where nothing ages.
CREATE FUNCTION aged(created_at timestamptz, ageing_s integer) RETURNS double precision
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN -EXTRACT(EPOCH FROM created_at)::float8 / ageing_s;

-- The tokens in a bucket now.
CREATE FUNCTION refilled(bucket lane_buckets) RETURNS double precision
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN LEAST(
        bucket.burst,
        bucket.tokens + bucket.per_second
            * GREATEST(0, EXTRACT(EPOCH FROM ledger_now() - bucket.refilled_at)::float8)
    );

-- Until when a bucket that is changed now counts as refilled: whoever began earlier must not turn
-- that back; a clock that was set back may.
CREATE FUNCTION refilled_until(refilled_at timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE
        WHEN refilled_at < ledger_now() + interval '10 s' THEN GREATEST(refilled_at, ledger_now())
        ELSE ledger_now()
    END;

-- Since when not all that waits may be ranked by the lane's ageing; null once all is.
ALTER TABLE lanes ADD COLUMN ageing_changed_at timestamptz;

-- What workers make room for, and what they gave up: by the worker, or by no worker's id.
CREATE INDEX jobs_reserved_idx ON jobs (isolated_for)
    WHERE isolated_for IS NOT NULL AND state = 'queued';
