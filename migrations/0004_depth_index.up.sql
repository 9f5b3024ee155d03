-- How deep a tenant's part of a lane is: told by one text, and so of no use to
-- claims. The planner took an index by lane and tenant, which does not tell jobs
-- apart, for those too, and sorted all that waited.
CREATE INDEX jobs_depth_idx ON jobs ((lane || ' ' || tenant))
    WHERE state IN ('scheduled', 'queued');
DROP INDEX jobs_waiting_idx;
