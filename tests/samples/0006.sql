-- Rows as the sixth version of the schema writes them: what a statement owes that changed two jobs
-- and rings a lane, and one that only rings.

INSERT INTO outbox (job_ids, seqs, rings, due_at) VALUES
    (
        '{01900000-0000-7000-8000-000000000061,01900000-0000-7000-8000-000000000062}', '{1,1}',
        '{default}', now()
    ),
    ('{}', '{}', '{default}', now());
