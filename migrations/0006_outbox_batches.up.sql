-- A row of the outbox for each statement that changed jobs, and no longer for each job: written
-- and struck out as one.
ALTER TABLE outbox
    DROP CONSTRAINT outbox_owes_something,
    DROP CONSTRAINT outbox_event_is_whole,
    -- The events, each by its job and number.
    ADD COLUMN job_ids uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN seqs integer[] NOT NULL DEFAULT '{}',
    -- The lanes to ring, each once.
    ADD COLUMN rings text[] NOT NULL DEFAULT '{}';

UPDATE outbox
SET job_ids = array_remove(ARRAY[job_id], NULL),
    seqs = array_remove(ARRAY[seq], NULL),
    rings = array_remove(ARRAY[ring], NULL);

ALTER TABLE outbox
    DROP COLUMN job_id,
    DROP COLUMN seq,
    DROP COLUMN ring,
    ADD CONSTRAINT outbox_owes_something CHECK (cardinality(job_ids) + cardinality(rings) > 0),
    ADD CONSTRAINT outbox_events_are_whole CHECK (cardinality(job_ids) = cardinality(seqs));
