-- From schema version 6 to 7: how deliveries were answered.

SET LOCAL lock_timeout = '2s';

-- at: the beginning of a minute, or of an hour that is older than a day. There are few rows, and one of them changes often.
CREATE TABLE ringback_deliveries (
    at bigint NOT NULL,
    result text NOT NULL,
    reason text NOT NULL,
    count bigint NOT NULL,
    last_at double precision NOT NULL,
    PRIMARY KEY (at, result, reason)
) WITH (fillfactor = 50);

UPDATE ringback_meta SET value = '7' WHERE name = 'schema';
