-- From schema version 3 to 4: redials have a lane of their own, from which workers claim them without jobs.

SET LOCAL lock_timeout = '2s';

CREATE TABLE ringback_lane (
    next_at double precision NOT NULL,
    paused_until double precision NOT NULL
);

INSERT INTO ringback_lane (next_at, paused_until) VALUES (0, 0);

CREATE INDEX ringback_items_redials ON ringback_items (due_at) WHERE kind = 'redial' AND state = 'ready';

-- Until when a redial of the contact counts as in progress.
ALTER TABLE ringback_contacts ADD COLUMN busy_until double precision;
CREATE INDEX ringback_contacts_busy ON ringback_contacts (busy_until) WHERE busy_until IS NOT NULL;

UPDATE ringback_meta SET value = '4' WHERE name = 'schema';
