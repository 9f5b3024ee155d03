CREATE INDEX jobs_waiting_idx ON jobs (lane, tenant) WHERE state IN ('scheduled', 'queued');
DROP INDEX jobs_depth_idx;
