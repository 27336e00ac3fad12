-- From schema version 5 to 6: a wait that began before the wall clock was set back can be told from a long one.

SET LOCAL lock_timeout = '2s';

-- When somebody wrote due_at, by the same clock; NULL for an item that has waited since it was put.
ALTER TABLE ringback_items ADD COLUMN waits_since double precision;

UPDATE ringback_meta SET value = '6' WHERE name = 'schema';
