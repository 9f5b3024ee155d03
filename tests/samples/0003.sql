-- Rows as the third version of the schema writes them: as the second does, which it only rotates
-- otherwise.

INSERT INTO jobs
    (id, tenant, lane, name, tool, params, priority, state, attempt, failures, max_attempts,
     run_at, retry, deaths, created_at, event_xid)
VALUES
    ('01900000-0000-7000-8000-000000000031', 'default', 'default', 'with its event', 'simulate',
     '{}', 0, 'queued', 0, 0, 3, now(), '{}', 0, now(), ledger_xid());

INSERT INTO job_events
    (job_id, seq, kind, state, attempt, created_at, lane, tenant, xid, details)
SELECT id, 1, 'queued', 'queued', 0, created_at, lane, tenant, event_xid, '{}'
FROM jobs
WHERE id = '01900000-0000-7000-8000-000000000031';
