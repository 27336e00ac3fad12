-- From schema version 1 to 2: the columns by which a history counts calls. NULL for an item that ends no call, and for
-- an item that a process of the earlier release puts.

-- Others that need the table queue behind this statement, so it gives up soon; the next opening tries again.
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
