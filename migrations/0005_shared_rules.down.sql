DROP INDEX jobs_reserved_idx;
ALTER TABLE lanes DROP COLUMN ageing_changed_at;
DROP FUNCTION refilled_until(timestamptz);
DROP FUNCTION refilled(lane_buckets);
DROP FUNCTION aged(timestamptz, integer);
