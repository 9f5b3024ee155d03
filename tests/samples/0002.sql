-- Rows as the second version of the schema writes them.

UPDATE lanes
SET max_waiting = 1000, ageing_s = 60, max_attempts = 5, retry = '{"backoff": 2.0}'
WHERE name = 'default';
INSERT INTO lanes (name, paused_at) VALUES ('paused', now());
INSERT INTO lane_buckets (lane, per_second, burst, tokens, refilled_at)
VALUES ('paused', 2.5, 10, 10, now());
INSERT INTO lane_shares (lane, tenant, weight) VALUES ('default', 'default', 3);
INSERT INTO concurrency_limits (tenant, name, max_running, is_sequential)
VALUES ('default', 'key', 3, false), ('default', 'sequence', 1, true);

INSERT INTO jobs
    (id, tenant, lane, name, tool, params, priority, state, attempt, failures, max_attempts,
     run_at, start_by, retry, deaths, aged, created_at, event_xid)
VALUES
    ('01900000-0000-7000-8000-000000000021', 'default', 'default', 'with a deadline', 'simulate',
     '{}', 5, 'queued', 0, 0, 3, now(), now() + interval '1 hour',
     '{"backoff": 0.5, "retry_on": ["timeout"]}', 0, -28000000, now(), ledger_xid()),
    ('01900000-0000-7000-8000-000000000022', 'default', 'paused', 'to run alone', 'simulate',
     '{}', 0, 'queued', 2, 0, 3, now(), NULL, '{}', 2, NULL, now(), ledger_xid());

INSERT INTO idempotency_keys (tenant, key, fingerprint, job_id, job, created_at)
SELECT tenant, 'order-7', sha256('asked'), id, to_jsonb(jobs), now()
FROM jobs
WHERE id = '01900000-0000-7000-8000-000000000021';
