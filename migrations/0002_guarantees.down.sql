DROP FUNCTION drop_event_partitions(interval);
DROP TABLE event_horizon;

CREATE TABLE job_events_whole (LIKE job_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
INSERT INTO job_events_whole SELECT * FROM job_events;
DROP TABLE job_events;
ALTER TABLE job_events_whole RENAME TO job_events;
ALTER TABLE job_events ADD PRIMARY KEY (job_id, seq);
CREATE INDEX job_events_feed_idx ON job_events (xid, job_id, seq);

DROP FUNCTION make_event_partition(timestamptz);
DROP FUNCTION week_of(timestamptz);
DROP FUNCTION uuid_of(timestamptz);

DROP INDEX jobs_dead_idx;
DROP INDEX jobs_start_by_idx;
DROP INDEX jobs_waiting_idx;
DROP INDEX jobs_key_held_idx;
DROP INDEX jobs_key_taken_idx;
DROP INDEX jobs_isolated_idx;
DROP INDEX jobs_claimable_idx;
CREATE INDEX jobs_claimable_idx ON jobs (lane, priority DESC, id)
    WHERE state = 'queued' AND NOT held_by_key;
CREATE INDEX jobs_keyed_idx ON jobs (tenant, concurrency_key, priority DESC, id)
    WHERE concurrency_key IS NOT NULL AND state IN ('queued', 'running');

ALTER TABLE jobs
    DROP COLUMN isolated_for,
    DROP COLUMN deaths,
    DROP COLUMN retry,
    DROP COLUMN start_by,
    DROP COLUMN rank,
    DROP COLUMN aged;

DROP TABLE idempotency_keys;
DROP TABLE concurrency_limits;
DROP TABLE lane_shares;
DROP TABLE lane_buckets;

ALTER TABLE lanes
    DROP COLUMN retry,
    DROP COLUMN max_attempts,
    DROP COLUMN ageing_s,
    DROP COLUMN max_waiting,
    DROP COLUMN paused_at;
