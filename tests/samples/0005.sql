-- Rows as the fifth version of the schema writes them: a lane whose ageing was changed a moment
-- ago, and a job that is still to be ranked by it.

INSERT INTO lanes (name, ageing_s, ageing_changed_at) VALUES ('ageing-anew', 60, now());

INSERT INTO jobs
    (id, tenant, lane, name, tool, params, priority, state, attempt, failures, max_attempts,
     run_at, retry, deaths, created_at, event_xid)
VALUES
    ('01900000-0000-7000-8000-000000000051', 'default', 'ageing-anew', 'not ranked yet', 'simulate',
     '{}', 0, 'queued', 0, 0, 3, now(), '{}', 0, now(), ledger_xid());
