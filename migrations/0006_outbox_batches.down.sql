ALTER TABLE outbox
    DROP CONSTRAINT outbox_owes_something,
    DROP CONSTRAINT outbox_events_are_whole,
    ADD COLUMN job_id uuid,
    ADD COLUMN seq integer,
    ADD COLUMN ring text;

INSERT INTO outbox (job_id, seq, ring, due_at, tries, aside)
SELECT owed.job_id, owed.seq, owed.ring, outbox.due_at, outbox.tries, outbox.aside
FROM outbox
CROSS JOIN LATERAL UNNEST(outbox.job_ids, outbox.seqs, outbox.rings) AS owed (job_id, seq, ring);

DELETE FROM outbox WHERE job_id IS NULL AND ring IS NULL;

ALTER TABLE outbox
    DROP COLUMN job_ids,
    DROP COLUMN seqs,
    DROP COLUMN rings,
    ADD CONSTRAINT outbox_owes_something CHECK (seq IS NOT NULL OR ring IS NOT NULL),
    ADD CONSTRAINT outbox_event_is_whole CHECK ((job_id IS NULL) = (seq IS NULL));
