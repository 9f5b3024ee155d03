-- Rows as the fourth version of the schema writes them: as the third does, which it only finds by
-- another index.

INSERT INTO jobs
    (id, tenant, lane, name, tool, params, priority, state, attempt, failures, max_attempts,
     run_at, retry, deaths, created_at, event_xid)
VALUES
    ('01900000-0000-7000-8000-000000000041', 'default', 'default', 'counted as waiting', 'simulate',
     '{}', 0, 'queued', 0, 0, 3, now(), '{}', 0, now(), ledger_xid());
