"""Tables and statements of the SQLite store, and what makes a file one of its own."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ringback.exceptions import StoreError

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION = 0x52_42_43_4B
"""Marks a file as ours in SQLite's header (``RBCK``)."""

MIGRATIONS = (
    (
        """
        CREATE TABLE items (
            id INTEGER PRIMARY KEY,
            key TEXT NOT NULL UNIQUE,
            kind TEXT NOT NULL,
            state TEXT NOT NULL,
            due_at REAL NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            owner TEXT,
            leased_until REAL,
            interrupted INTEGER NOT NULL DEFAULT 0,
            ends_call INTEGER NOT NULL,
            event TEXT NOT NULL,
            call TEXT,
            contact TEXT,
            target TEXT,
            number INTEGER NOT NULL DEFAULT 1,
            rank INTEGER NOT NULL,
            payload BLOB,
            sibling BLOB,
            progress BLOB,
            reason TEXT,
            duplicates INTEGER NOT NULL DEFAULT 0,
            created_at REAL NOT NULL,
            finished_at REAL
        )
        """,
        "CREATE INDEX items_due ON items (due_at) WHERE state = 'ready'",
        "CREATE INDEX items_leased ON items (leased_until) WHERE state = 'running'",
        "CREATE INDEX items_finished ON items (finished_at) WHERE finished_at IS NOT NULL",
        "CREATE INDEX items_call ON items (call) WHERE call IS NOT NULL",
        "CREATE INDEX items_contact ON items (contact) WHERE contact IS NOT NULL",
        """
        CREATE TABLE calls (
            key TEXT PRIMARY KEY,
            contact TEXT NOT NULL,
            at REAL NOT NULL,
            leg TEXT
        ) WITHOUT ROWID
        """,
        "CREATE INDEX calls_contact ON calls (contact, at)",
        "CREATE INDEX calls_leg ON calls (leg) WHERE leg IS NOT NULL",
    ),
    (
        # NULL for what ends no call, and for what a process of the release before puts meanwhile.
        "ALTER TABLE items ADD COLUMN cause TEXT",
        "ALTER TABLE items ADD COLUMN category TEXT",
        "ALTER TABLE items ADD COLUMN retry TEXT",
        "ALTER TABLE items ADD COLUMN match TEXT",
        "ALTER TABLE items ADD COLUMN code INTEGER",
        "ALTER TABLE items ADD COLUMN subcode INTEGER",
        # With all that is counted: the rows themselves, payloads between, need not be read.
        """
        CREATE INDEX items_ended ON items (created_at, cause, category, retry, event, code, subcode, match)
        WHERE cause IS NOT NULL
        """,
        # With those of what is ready, running and finished, every state can be counted without reading the rows.
        "CREATE INDEX items_dead ON items (finished_at) WHERE state = 'dead'",
        "CREATE INDEX items_canceled ON items (finished_at) WHERE state = 'canceled'",
    ),
    (
        # See KNOW_CALLS.
        "DROP INDEX items_call",
    ),
    (
        # There are few, and each is as long as all else in a record. NULL where it is in the payload, as before.
        "CREATE TABLE verdicts (id INTEGER PRIMARY KEY, text BLOB NOT NULL)",
        "ALTER TABLE items ADD COLUMN verdict INTEGER",
    ),
)
"""What brings a file from version n to n + 1. A release only ever adds to it."""

VERSION = len(MIGRATIONS)

LONGEST_LOG = 4000
"""Pages of the write-ahead log, of 4 KiB each, with which a transaction has to wait until they are in the file."""

PUT_LOG_IN_FILE = "PRAGMA wal_checkpoint(PASSIVE)"

_TRIES, _PAUSE = 25, 0.02


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the file a store of this version. Raises :class:`StoreError` for one that is none, or of a newer release."""
    # Asked first: nothing is to be changed in a file that is not ours.
    connection.execute("BEGIN")
    try:
        # In one look: another process may be making it a store right now.
        version = _refuse_foreign(connection, path)
    finally:
        with suppress(sqlite3.Error):
            # A file that is damaged enough has ended it already.
            connection.execute("ROLLBACK")
    mode = _with_log(connection)
    if mode != "wal":
        raise StoreError(f"{path} cannot have a write-ahead log (journal mode {mode!r}); use a file on a local disk")
    connection.execute("PRAGMA synchronous = FULL")
    # The writer does it before, when nobody waits for an answer.
    connection.execute(f"PRAGMA wal_autocheckpoint = {LONGEST_LOG}")
    if version < VERSION:
        _migrate(connection, path)
    (verdict, *_) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StoreError(f"{path} is damaged ({verdict}); restore it, or move it away and start with a new one")


def _with_log(connection: sqlite3.Connection) -> str:
    """The journal mode after it was set. Processes that start together get in each other's way, which SQLite
    answers at once instead of waiting as for any other lock.
    """
    for _ in range(_TRIES - 1):
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError:
            time.sleep(_PAUSE)
    return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been faster.
        version = _refuse_foreign(connection, path)
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        if connection.execute(ANY_WHOLE_CALL).fetchone():
            know_calls(connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        # A full disk has ended it already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def know_calls(connection: sqlite3.Connection) -> None:
    """Prepare the file for ends of whole calls, within a transaction."""
    for statement in KNOW_CALLS:
        connection.execute(statement)


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the file, 0 if it is new."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION and (application or version or tables):
        raise StoreError(f"{path} is the database of another application; name a file of its own for the store")
    if version > VERSION:
        raise StoreError(
            f"{path} was made by a newer release (schema {version}, this one knows {VERSION}); "
            "upgrade ringback, or name another file"
        )
    return int(version)


# Event Grid's CallEnded of a whole call says nothing that a leg's own end has not said: hooks are told of it no
# more, and where they have been already, the history counts the leg alone.
ANY_WHOLE_CALL = "SELECT 1 FROM items WHERE event = 'CallEnded' LIMIT 1"
TOLD_BY_A_LEG = """
    SELECT 1 FROM items WHERE call = :call AND key <> :key AND event <> 'CallEnded' AND ends_call LIMIT 1
"""
_YIELD = """
    UPDATE items SET
        state = CASE WHEN state = 'ready' AND attempts = 0 THEN 'canceled' ELSE state END,
        finished_at = CASE WHEN state = 'ready' AND attempts = 0 THEN {now} ELSE finished_at END,
        cause = NULL, category = NULL, retry = NULL, match = NULL, code = NULL, subcode = NULL
    WHERE key = {ended} AND key <> {key} AND event = 'CallEnded' AND sibling IS NULL
      AND (cause IS NOT NULL OR state = 'ready' AND attempts = 0)
"""
YIELD_TO_LEG = _YIELD.format(ended=":ended", key=":key", now=":now")
KNOW_CALLS = (
    # Legs are found by their call.
    "CREATE INDEX IF NOT EXISTS items_call ON items (call) WHERE call IS NOT NULL",
    # YIELD_TO_LEG for a leg that is new, by SQLite itself, so that many legs take one statement. Where the key of a
    # call is a hash, it does not find it.
    f"""
    CREATE TRIGGER IF NOT EXISTS yields_to_leg AFTER INSERT ON items
    WHEN new.ends_call AND new.event <> 'CallEnded' AND new.call IS NOT NULL
    BEGIN {_YIELD.format(ended="'call:' || new.call", key="new.key", now="new.created_at")}; END
    """,
)
"""What has no place in a file before the first whole call, for each leg pays for it: ids come in no order, so that the
index has one page more to change, and the trigger takes half as long as all else to look for what is not there.
"""

INSERTED = (
    "key kind due_at ends_call event call contact target number rank payload sibling now "
    "cause category retry match code subcode verdict"
).split()
_INTO = """
    INSERT INTO items (key, kind, due_at, ends_call, event, call, contact, target, number, rank, payload, sibling,
                       created_at, cause, category, retry, match, code, subcode, verdict, state)
"""
INSERT = f"{_INTO} VALUES ({', '.join([f':{name}' for name in INSERTED])}, 'ready') ON CONFLICT (key) DO NOTHING"

# Of an outcome as it comes there is nothing else to be kept: neither contact nor target, and no sibling.
_PLAIN = """
    INSERT INTO items (key, due_at, ends_call, event, call, rank, payload, created_at, cause, category, retry, match,
                       code, subcode, verdict, kind, state)
"""
_ROW = f"({', '.join('?' * 15)}, 'outcome', 'ready')"
_SIZES = (1, 2, 4, 8, 16, 32, 64)
INSERTS = {many: f"{_PLAIN} VALUES {', '.join([_ROW] * many)} ON CONFLICT (key) DO NOTHING" for many in _SIZES}
"""By how many rows at once: few statements, each of which SQLite has to prepare once. Before version 3.32 it takes
999 parameters at most.
"""
MOST = max(INSERTS)
KEEP_VERDICT = "INSERT INTO verdicts (id, text) VALUES (?, ?) ON CONFLICT (id) DO NOTHING"
KEYS_BETWEEN = "SELECT key FROM items WHERE id > ? AND id <= ?"
MERGE = """
    UPDATE items SET
        payload = CASE WHEN :rank > rank THEN :payload ELSE payload END,
        sibling = CASE WHEN :rank > rank THEN payload ELSE :payload END,
        event = CASE WHEN :rank > rank THEN :event ELSE event END,
        cause = CASE WHEN :rank > rank THEN :cause ELSE cause END,
        category = CASE WHEN :rank > rank THEN :category ELSE category END,
        retry = CASE WHEN :rank > rank THEN :retry ELSE retry END,
        match = CASE WHEN :rank > rank THEN :match ELSE match END,
        code = CASE WHEN :rank > rank THEN :code ELSE code END,
        subcode = CASE WHEN :rank > rank THEN :subcode ELSE subcode END,
        verdict = CASE WHEN :rank > rank THEN :verdict ELSE verdict END,
        call = coalesce(call, :call),
        rank = max(rank, :rank)
    WHERE key = :key AND ends_call AND :ends_call AND state = 'ready' AND attempts = 0 AND sibling IS NULL
      AND event <> :event
"""
DUPLICATE = "UPDATE items SET duplicates = duplicates + 1 WHERE key = :key"

WHOLE = "items LEFT JOIN verdicts ON verdicts.id = items.verdict"
"""Items with the verdict's text, where it is not in the payload."""
_WHOLE = f"SELECT items.*, text AS verdict_text FROM {WHOLE}"
DUE = f"{_WHOLE} WHERE state = 'ready' AND due_at <= ? ORDER BY due_at LIMIT ?"
EXPIRED = f"{_WHOLE} WHERE state = 'running' AND leased_until <= ? AND owner <> ? ORDER BY leased_until LIMIT ?"
CLAIM = """
    UPDATE items SET state = 'running', owner = :owner, leased_until = :until, attempts = attempts + 1, interrupted = 0
    WHERE id = :id
"""
NEXT_DUE = """
    SELECT min(at) FROM (
        SELECT min(due_at) AS at FROM items WHERE state = 'ready'
        UNION ALL SELECT min(leased_until) FROM items WHERE state = 'running' AND owner <> ?
    )
"""
RENEW = "UPDATE items SET leased_until = ? WHERE state = 'running' AND owner = ?"
CHECKPOINT = "UPDATE items SET progress = :progress WHERE key = :key AND state = 'running' AND owner = :owner"
SETTLE = """
    UPDATE items SET state = :state, progress = :progress, due_at = :due_at, reason = :reason, owner = NULL,
        leased_until = NULL, finished_at = :finished_at
    WHERE key = :key AND state = 'running' AND owner = :owner AND attempts = :attempt
"""
GIVE_BACK = """
    UPDATE items SET state = 'ready', due_at = :now, interrupted = 1, owner = NULL, leased_until = NULL
    WHERE key = :key AND state = 'running' AND owner = :owner AND attempts = :attempt
"""
BROKEN = """
    UPDATE items SET state = 'dead', reason = :reason, finished_at = :now, owner = NULL, leased_until = NULL,
        attempts = attempts + 1
    WHERE id = :id
"""

CALL_OF_LEG = "SELECT key FROM calls WHERE leg = :leg"
ADOPT_LEG = """
    UPDATE calls SET leg = :leg WHERE key = (
        SELECT key FROM calls WHERE contact = :contact AND leg IS NULL AND at <= :at ORDER BY at LIMIT 1
    )
"""
NOTE_CALL = "INSERT INTO calls (key, contact, at, leg) VALUES (:key, :contact, :at, :leg) ON CONFLICT DO NOTHING"
FORGET_LEG = "DELETE FROM calls WHERE key = ?"
BIND_LEG = "UPDATE calls SET leg = :leg WHERE key = :key"
CALLS = "SELECT key, at FROM calls WHERE contact = ? ORDER BY at"
KNOWN = "SELECT 1 FROM items WHERE key = ?"
TO_COME = "SELECT key, attempts FROM items WHERE contact = ? AND kind = 'redial' AND state = 'ready'"
CANCEL = "UPDATE items SET state = 'canceled', finished_at = ? WHERE key = ?"

COUNT_READY = "SELECT count(*) FROM items WHERE state = 'ready'"
# One count for each index; what has finished is done, unless it is dead or canceled.
COUNT_STATES = """
    SELECT
        (SELECT count(*) FROM items WHERE state = 'ready') AS ready,
        (SELECT count(*) FROM items WHERE state = 'running') AS running,
        (SELECT count(*) FROM items WHERE finished_at IS NOT NULL) AS finished,
        (SELECT count(*) FROM items WHERE state = 'dead') AS dead,
        (SELECT count(*) FROM items WHERE state = 'canceled') AS canceled,
        (SELECT count(*) FROM items WHERE state = 'ready' AND kind = 'redial') AS redials,
        (SELECT min(due_at) FROM items WHERE state = 'ready') AS oldest
"""
DEAD = f"{_WHOLE} WHERE state = 'dead' ORDER BY finished_at DESC, items.id DESC LIMIT ?"
DEAD_PROGRESS = "SELECT progress FROM items WHERE key = ? AND state = 'dead'"
REPLAY = """
    UPDATE items SET state = 'ready', attempts = 0, due_at = :now, reason = NULL, finished_at = NULL,
        progress = :progress
    WHERE key = :key AND state = 'dead'
"""
DISCARD = """
    UPDATE items SET state = 'canceled', payload = NULL, sibling = NULL, progress = NULL, contact = NULL
    WHERE key = ? AND state = 'dead'
"""
PURGE = (
    """
    UPDATE items SET payload = NULL, sibling = NULL, progress = NULL, contact = NULL WHERE id IN (
        SELECT id FROM items WHERE finished_at < :keep AND state IN ('done', 'canceled') AND payload IS NOT NULL
        LIMIT 1000
    )
    """,
    """
    DELETE FROM items WHERE id IN (
        SELECT id FROM items WHERE finished_at < :remember AND state IN ('done', 'canceled') LIMIT 1000
    )
    """,
    """
    DELETE FROM items WHERE id IN (
        SELECT id FROM items WHERE finished_at < :long AND state = 'dead' LIMIT 1000
    )
    """,
    "DELETE FROM calls WHERE key IN (SELECT key FROM calls WHERE at < :long LIMIT 1000)",
)
