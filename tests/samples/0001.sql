-- Jobs as version 1 writes them: one in every state, one kept back by its key.
INSERT INTO lanes (name) VALUES ('batch');

INSERT INTO workers (id, slots, started_at, heartbeat_at)
VALUES ('01900000-0000-7000-8000-0000000000ff', 4, now(), now());

INSERT INTO jobs (
    id, tenant, lane, name, tool, params, priority, state, attempt, failures, max_attempts,
    run_at, timeout_ms, concurrency_key, held_by_key, submitted_by, traceparent, worker, gpu_id,
    lease_expires_at, progress, result, error, created_at, started_at, finished_at,
    cancel_requested_at, event_seq, event_xid
)
VALUES
    ('01900000-0000-7000-8000-000000000001', 'default', 'default', 'queued', 'simulate', '{}', 0,
     'queued', 0, 0, 3, now(), NULL, NULL, false, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, now(), NULL, NULL, NULL, 1, ledger_xid()),
    ('01900000-0000-7000-8000-000000000002', 'default', 'batch', 'held', 'simulate', '{"a": 1}', 5,
     'queued', 0, 0, 3, now(), 1500, 'key', true, 'ada', NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, now(), NULL, NULL, NULL, 1, ledger_xid()),
    ('01900000-0000-7000-8000-000000000003', 'default', 'default', 'scheduled', 'simulate', '{}', 0,
     'scheduled', 1, 1, 3, now() + interval '1 year', NULL, NULL, false, NULL, NULL,
     '01900000-0000-7000-8000-0000000000ff', 0, NULL, 0.5, NULL,
     '{"type": "transient", "message": "failed as asked"}', now(), now(), NULL, NULL, 3,
     ledger_xid()),
    ('01900000-0000-7000-8000-000000000004', 'default', 'batch', 'running', 'simulate', '{}', 0,
     'running', 1, 0, 3, now(), NULL, 'key', false, NULL,
     '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
     '01900000-0000-7000-8000-0000000000ff', 1, now() + interval '30 s', 0.25, NULL, NULL,
     now(), now(), NULL, NULL, 2, ledger_xid()),
    ('01900000-0000-7000-8000-000000000005', 'default', 'default', 'completed', 'simulate', '{}', 0,
     'completed', 1, 0, 3, now(), NULL, NULL, false, NULL, NULL,
     '01900000-0000-7000-8000-0000000000ff', 2, NULL, 1, '{"gpu_id": 2}', NULL,
     now(), now(), now(), NULL, 3, ledger_xid()),
    ('01900000-0000-7000-8000-000000000006', 'default', 'default', 'failed', 'simulate', '{}', 0,
     'failed', 3, 3, 3, now(), NULL, NULL, false, NULL, NULL,
     '01900000-0000-7000-8000-0000000000ff', 3, NULL, 0.75, NULL,
     '{"type": "timeout", "message": "took longer than it may"}', now(), now(), now(), NULL, 9,
     ledger_xid()),
    ('01900000-0000-7000-8000-000000000007', 'default', 'default', 'cancelled', 'simulate', '{}', 0,
     'cancelled', 0, 0, 3, now(), NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, now(), NULL, now(), now(), 2, ledger_xid());

INSERT INTO job_events (job_id, seq, kind, state, attempt, created_at, lane, tenant, xid, details)
SELECT id, event_seq, state, state, attempt, now(), lane, tenant, event_xid,
       jsonb_build_object('name', name)
FROM jobs;

INSERT INTO outbox (job_id, seq, ring, due_at)
SELECT id, event_seq, lane, now()
FROM jobs
WHERE state = 'queued';
