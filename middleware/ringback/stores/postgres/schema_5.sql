-- From schema version 4 to 5: the record of a call.

SET LOCAL lock_timeout = '2s';

-- acts: who must act. told: what the events of an end told, without the ids.
ALTER TABLE ringback_items
    ADD COLUMN acts text,
    ADD COLUMN told bytea,
    ADD COLUMN context text;

CREATE INDEX ringback_items_context ON ringback_items (context) WHERE context IS NOT NULL;

-- What other events told. leg and call are numbers that stand for the ids.
CREATE TABLE ringback_notes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at double precision NOT NULL,
    leg bigint,
    call bigint,
    told bytea NOT NULL
);

CREATE INDEX ringback_notes_leg ON ringback_notes (leg) WHERE leg IS NOT NULL;
CREATE INDEX ringback_notes_call ON ringback_notes (call) WHERE call IS NOT NULL;

UPDATE ringback_meta SET value = '5' WHERE name = 'schema';
