-- The tables of a store in PostgreSQL, schema version 1. Times are seconds since the epoch.
-- procrastinate's jobs wake the workers; a job names the key of an item.

CREATE TABLE ringback_meta (
    name text PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE ringback_items (
    key text PRIMARY KEY,
    kind text NOT NULL,
    state text NOT NULL,
    due_at double precision NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    owner text,
    -- The id in procrastinate_workers of the worker that has claimed the item, and that lives while its heartbeat is fresh.
    worker bigint,
    -- 0: not interrupted. 1: the worker stopped and gave the item back. 2: the worker died.
    interrupted smallint NOT NULL DEFAULT 0,
    ends_call boolean NOT NULL,
    event text NOT NULL,
    call text,
    contact text,
    target text,
    number integer NOT NULL DEFAULT 1,
    rank smallint NOT NULL,
    payload bytea,
    sibling bytea,
    progress bytea,
    reason text,
    duplicates integer NOT NULL DEFAULT 0,
    created_at double precision NOT NULL,
    finished_at double precision
);

CREATE INDEX ringback_items_due ON ringback_items (due_at) WHERE state = 'ready';
CREATE INDEX ringback_items_running ON ringback_items (worker) WHERE state = 'running';
CREATE INDEX ringback_items_finished ON ringback_items (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX ringback_items_call ON ringback_items (call) WHERE call IS NOT NULL AND ends_call;
CREATE INDEX ringback_items_contact ON ringback_items (contact) WHERE kind = 'redial' AND state = 'ready';

CREATE TABLE ringback_calls (
    key text PRIMARY KEY,
    contact text NOT NULL,
    at double precision NOT NULL,
    leg text
);

CREATE INDEX ringback_calls_contact ON ringback_calls (contact, at);
CREATE INDEX ringback_calls_leg ON ringback_calls (leg) WHERE leg IS NOT NULL;

INSERT INTO ringback_meta (name, value) VALUES ('schema', '1');
