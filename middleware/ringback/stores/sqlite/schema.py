"""The tables of the SQLite store, what they can hold, and how the store knows and prepares its file."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from ringback.exceptions import StoreError
from ringback.stores.sqlite.lock import pause

if TYPE_CHECKING:
    from pathlib import Path

S = TypeVar("S", str, "str | None")

APPLICATION = 0x52_42_43_4B
"""The application id in the header of Ringback's files, ``RBCK``: https://www.sqlite.org/fileformat.html"""

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
        # NULL for an item that ends no call, and for an item that a process of an earlier release puts.
        "ALTER TABLE items ADD COLUMN cause TEXT",
        "ALTER TABLE items ADD COLUMN category TEXT",
        "ALTER TABLE items ADD COLUMN retry TEXT",
        "ALTER TABLE items ADD COLUMN match TEXT",
        "ALTER TABLE items ADD COLUMN code INTEGER",
        "ALTER TABLE items ADD COLUMN subcode INTEGER",
        # With all columns that a history counts by, so that SQLite need not read the rows and their payloads.
        """
        CREATE INDEX items_ended ON items (created_at, cause, category, retry, event, code, subcode, match)
        WHERE cause IS NOT NULL
        """,
        # With the indexes of version 1, SQLite counts every state without the rows.
        "CREATE INDEX items_dead ON items (finished_at) WHERE state = 'dead'",
        "CREATE INDEX items_canceled ON items (finished_at) WHERE state = 'canceled'",
    ),
    ("DROP INDEX items_call",),
    (
        # There are few verdicts, and a verdict is as long as the rest of a record. NULL if the payload has the verdict.
        "CREATE TABLE verdicts (id INTEGER PRIMARY KEY, text BLOB NOT NULL)",
        "ALTER TABLE items ADD COLUMN verdict INTEGER",
    ),
    (
        # Version 3 and 4 made the trigger and the index in the first put of a CallEnded.
        "DROP TRIGGER IF EXISTS yields_to_leg",
        "CREATE INDEX IF NOT EXISTS items_call ON items (call) WHERE call IS NOT NULL",
        "DROP INDEX calls_leg",
    ),
    (
        # What is known of a contact is one value, which `ringback.work.contact` reads and changes.
        "CREATE TABLE contacts (contact TEXT PRIMARY KEY, state BLOB NOT NULL, changed_at REAL NOT NULL) WITHOUT ROWID",
        """
        INSERT INTO contacts SELECT contact, json_object('calls', json_group_array(json_object(
            'key', key, 'at', at, 'leg', leg, 'state', CASE WHEN key IN (
                SELECT key FROM items WHERE kind = 'redial' AND state = 'ready'
            ) THEN 'planned' ELSE 'ended' END
        ))), max(at) FROM calls GROUP BY contact
        """,
        "CREATE INDEX contacts_changed ON contacts (changed_at)",
        "DROP TABLE calls",
    ),
    (
        # Redials have a lane of their own. `busy_until`: until when a redial of the contact counts as in progress.
        "DROP INDEX items_due",
        "CREATE INDEX items_due ON items (kind, due_at) WHERE state = 'ready'",
        "CREATE TABLE lane (id INTEGER PRIMARY KEY CHECK (id = 1), next_at REAL NOT NULL, paused_until REAL NOT NULL)",
        "INSERT INTO lane (id, next_at, paused_until) VALUES (1, 0, 0)",
        "ALTER TABLE contacts ADD COLUMN busy_until REAL",
        "CREATE INDEX contacts_busy ON contacts (busy_until) WHERE busy_until IS NOT NULL",
    ),
    (
        # For the record of a call. `acts`: who must act. `told`: what the events of an end told, without the ids.
        "ALTER TABLE items ADD COLUMN acts TEXT",
        "ALTER TABLE items ADD COLUMN told BLOB",
        "ALTER TABLE items ADD COLUMN context TEXT",
        "DROP INDEX items_ended",
        """
        CREATE INDEX items_ended ON items (created_at, cause, category, retry, event, code, subcode, match, acts)
        WHERE cause IS NOT NULL
        """,
        "CREATE INDEX items_context ON items (context) WHERE context IS NOT NULL",
        # What other events told. `leg` and `call` are numbers that stand for the ids.
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, at REAL NOT NULL, leg INTEGER, call INTEGER, told BLOB NOT NULL)",
        "CREATE INDEX notes_leg ON notes (leg) WHERE leg IS NOT NULL",
        "CREATE INDEX notes_call ON notes (call) WHERE call IS NOT NULL",
    ),
    # When somebody wrote `due_at`, by the same clock; NULL for an item that has waited since it was put.
    ("ALTER TABLE items ADD COLUMN waits_since REAL",),
    (
        # How deliveries were answered. `at`: the beginning of a minute, or of an hour that is older than a day.
        """
        CREATE TABLE deliveries (
            at INTEGER NOT NULL,
            result TEXT NOT NULL,
            reason TEXT NOT NULL,
            count INTEGER NOT NULL,
            last_at REAL NOT NULL,
            PRIMARY KEY (at, result, reason)
        ) WITHOUT ROWID
        """,
    ),
)
"""The statements that bring a file from version n to n + 1. A release adds versions and changes none."""

VERSION = len(MIGRATIONS)

WHOLE = "items LEFT JOIN verdicts ON verdicts.id = items.verdict"
"""Items, with the text of the verdict if the payload does not have it."""
NOTE = "INSERT INTO notes (at, leg, call, told) VALUES (?, ?, ?, ?)"
CONTACT = "SELECT state FROM contacts WHERE contact = ?"

LONGEST_LOG = 8000
"""Pages of 4 KiB in the write-ahead log from which on a transaction itself must put the log into the file."""

PUT_LOG_IN_FILE = "PRAGMA wal_checkpoint(PASSIVE)"

_TRIES, _PAUSE = 25, 0.02


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the file a store of this version.

    Raises :class:`StoreError` for a file of another application or of a newer release, and for a damaged file.
    """
    # Before anything else: the store must change nothing in a file of another application. In one transaction, because
    # another process may be making the file a store.
    connection.execute("BEGIN")
    try:
        version = _refuse_foreign(connection, path)
    finally:
        with suppress(sqlite3.Error):
            # In a damaged file SQLite may have ended the transaction.
            connection.execute("ROLLBACK")
    mode = _with_log(connection)
    if mode != "wal":
        raise StoreError(f"{path} cannot have a write-ahead log (journal mode {mode!r}); use a file on a local disk")
    connection.execute("PRAGMA synchronous = FULL")
    # The writer puts the log into the file earlier, when no operation waits.
    connection.execute(f"PRAGMA wal_autocheckpoint = {LONGEST_LOG}")
    if version < VERSION:
        _migrate(connection, path)
    # For a statement of many rows SQLite keeps the pages that the statement changes, and would keep them in a file:
    # a fifth of what this thread costs a put, and a fault where no folder for temporary files can be written.
    connection.execute("PRAGMA temp_store = MEMORY")


def _with_log(connection: sqlite3.Connection) -> str:
    """The journal mode, once it is set. SQLite raises at once while another process sets the mode, so try again."""
    for _ in range(_TRIES - 1):
        with suppress(sqlite3.OperationalError):
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        pause(_PAUSE)
    return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have migrated the file.
        version = _refuse_foreign(connection, path)
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        # On a full disk SQLite has ended the transaction already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the file, 0 for a new file. Raises :class:`StoreError` for a file that is not to be touched."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION and (application or version or tables):
        raise StoreError(f"{path} is the database of another application; name a file of its own for the store")
    if version > VERSION:
        raise StoreError(
            f"{path} was made by a newer release (schema {version}, this one knows {VERSION}), or upgraded by it; "
            "upgrade ringback, or end all processes and put the copy from before the upgrade in the place of the file"
        )
    return int(version)


def storable(text: S) -> S:
    """The text with ``?`` for every lone surrogate, which SQLite's UTF-8 cannot hold."""
    return text if text is None else text.encode("utf-8", "replace").decode()
