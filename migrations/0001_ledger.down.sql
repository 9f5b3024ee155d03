DROP TABLE outbox;
DROP TABLE job_events;
DROP TABLE jobs;
DROP TABLE workers;
DROP TABLE lanes;
DROP FUNCTION ledger_xid();
DROP FUNCTION ledger_now();
