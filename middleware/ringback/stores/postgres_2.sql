-- From schema version 1 to 2: what the end of a call is counted by, for the history. NULL for what ends no call,
-- and for what a process of the release before puts meanwhile.

-- Whoever waits for the table waits behind us: better to try again at the next opening.
SET LOCAL lock_timeout = '2s';

ALTER TABLE ringback_items
    ADD COLUMN cause text,
    ADD COLUMN category text,
    ADD COLUMN retry text,
    ADD COLUMN match text,
    ADD COLUMN code integer,
    ADD COLUMN subcode integer;

CREATE INDEX ringback_items_ended ON ringback_items (created_at) WHERE cause IS NOT NULL;

UPDATE ringback_meta SET value = '2' WHERE name = 'schema';
