-- From schema version 2 to 3: what is known of a contact is one value, which ringback.work.contact reads and changes.

SET LOCAL lock_timeout = '2s';

CREATE TABLE ringback_contacts (
    contact text PRIMARY KEY,
    state text NOT NULL,
    changed_at double precision NOT NULL
);

CREATE INDEX ringback_contacts_changed ON ringback_contacts (changed_at);

INSERT INTO ringback_contacts
SELECT contact, json_build_object('calls', json_agg(json_build_object(
    'key', key, 'at', at, 'leg', leg, 'state', CASE WHEN key IN (
        SELECT key FROM ringback_items WHERE kind = 'redial' AND state = 'ready'
    ) THEN 'planned' ELSE 'ended' END
)))::text, max(at)
FROM ringback_calls GROUP BY contact;

DROP TABLE ringback_calls;
DROP INDEX ringback_items_contact;

UPDATE ringback_meta SET value = '3' WHERE name = 'schema';
