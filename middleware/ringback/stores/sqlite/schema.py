"""The tables and statements of the SQLite store, and how the store knows and prepares its file."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ringback.exceptions import StoreError

if TYPE_CHECKING:
    from pathlib import Path

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

LONGEST_LOG = 4000
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


def _with_log(connection: sqlite3.Connection) -> str:
    """The journal mode, once it is set. SQLite raises at once while another process sets the mode, so try again."""
    for _ in range(_TRIES - 1):
        with suppress(sqlite3.OperationalError):
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        time.sleep(_PAUSE)
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
            f"{path} was made by a newer release (schema {version}, this one knows {VERSION}); "
            "upgrade ringback, or name another file"
        )
    return int(version)


COLUMNS: tuple[str, ...] = tuple(
    "key kind due_at ends_call event call contact target number rank payload sibling created_at "
    "cause category retry match acts code subcode told context verdict".split()
)
"""The columns that a put writes, in the order of :data:`INSERTS`."""

_SIZES = (1, 2, 4, 8, 16, 32)
MOST = max(_SIZES)
"""Rows of one statement. Before version 3.32 SQLite takes 999 parameters at most: https://www.sqlite.org/limits.html"""


def _for_many(statement: str, one: str) -> dict[int, str]:
    """The statement for as many rows as each key says. SQLite prepares a statement once, so there are few sizes."""
    return {many: statement.format(", ".join([one] * many)) for many in _SIZES}


INSERTS = _for_many(
    f"INSERT INTO items ({', '.join(COLUMNS)}, state) VALUES {{}} ON CONFLICT (key) DO NOTHING",
    f"({', '.join('?' * len(COLUMNS))}, 'ready')",
)
KEEP_VERDICTS = _for_many("INSERT INTO verdicts (id, text) VALUES {} ON CONFLICT (id) DO NOTHING", "(?, ?)")
KEYS_BETWEEN = "SELECT key FROM items WHERE id > ? AND id <= ?"

# A leg's own end says all that Event Grid's CallEnded of the whole call says. Once the leg's end has come, no hook is
# called for the CallEnded; if hooks were called before, the history counts the leg's end and not the CallEnded.
LEG_HAS_ENDED = "SELECT 1 FROM items WHERE call = ? AND key <> ? AND event <> 'CallEnded' AND ends_call LIMIT 1"
YIELD_TO_LEGS = _for_many(
    """
    UPDATE items SET
        state = CASE WHEN state = 'ready' AND attempts = 0 THEN 'canceled' ELSE state END,
        finished_at = CASE WHEN state = 'ready' AND attempts = 0 THEN ? ELSE finished_at END,
        cause = NULL, category = NULL, retry = NULL, match = NULL, acts = NULL, code = NULL, subcode = NULL
    WHERE key IN ({}) AND event = 'CallEnded' AND sibling IS NULL
      AND (cause IS NOT NULL OR state = 'ready' AND attempts = 0)
    """,
    "?",
)
KEPT = "SELECT * FROM items WHERE key = ?"
NOTE = "INSERT INTO notes (at, leg, call, told) VALUES (?, ?, ?, ?)"

WHOLE = "items LEFT JOIN verdicts ON verdicts.id = items.verdict"
"""Items, with the text of the verdict if the payload does not have it."""
_WHOLE = f"SELECT items.*, text AS verdict_text FROM {WHOLE}"
DUE = f"{_WHOLE} WHERE state = 'ready' AND kind = ? AND due_at <= ? ORDER BY due_at LIMIT ?"
HASTEN = """
    UPDATE items SET due_at = :now WHERE key = :key AND state = 'ready' AND attempts = 0 AND due_at > :now
"""
# An owner begins with the boot by whose clock its leases count. A lease of another boot is void; one without a boot, as
# a machine gives that does not name its boots, counts by the wall clock.
_LEASES_NOW = """
    CASE substr(owner, 1, instr(owner, '.')) WHEN '' THEN :now WHEN :boot THEN :since_boot ELSE 9e999 END
"""
EXPIRED = f"""
    {_WHOLE} WHERE state = 'running' AND kind = :kind AND leased_until <= {_LEASES_NOW} AND owner <> :owner
    ORDER BY leased_until LIMIT :limit
"""
CLAIM = """
    UPDATE items SET state = 'running', owner = :owner, leased_until = :until, attempts = attempts + 1, interrupted = 0
    WHERE id = :id
"""
NEXT_DUE = f"""
    SELECT min(at) FROM (
        SELECT min(due_at) AS at FROM items WHERE state = 'ready' AND kind = :kind
        UNION ALL SELECT :now + min(leased_until - {_LEASES_NOW}) FROM items
        WHERE state = 'running' AND kind = :kind AND owner <> :owner AND (:suspects OR leased_until > {_LEASES_NOW})
    )
"""
# What waits for hooks since before the wall clock was set back waits as long as it would have. A second process finds
# nothing more to do. A redial waits for a time of the day.
SET_RIGHT = """
    UPDATE items SET
        due_at = :now + due_at - coalesce(waits_since, created_at), waits_since = :now,
        created_at = min(created_at, :now)
    WHERE state = 'ready' AND due_at > :soon AND kind = 'outcome' AND coalesce(waits_since, created_at) > :soon
"""
LANE = "SELECT next_at, paused_until FROM lane"
KEEP_LANE = "UPDATE lane SET next_at = ?, paused_until = ?"
IN_PROGRESS = """
    SELECT (SELECT count(*) FROM items WHERE state = 'running' AND kind = 'redial')
        + (SELECT count(*) FROM contacts WHERE busy_until > ?)
"""
RENEW = "UPDATE items SET leased_until = ? WHERE state = 'running' AND owner = ?"
CHECKPOINT = "UPDATE items SET progress = :progress WHERE key = :key AND state = 'running' AND owner = :owner"
# The second line is for what nobody has worked on since; the third says that every hook has returned, which counts
# while the item is open.
SETTLE = """
    UPDATE items SET state = :state, progress = :progress, due_at = :due_at, waits_since = :now,
        reason = :reason, owner = NULL, leased_until = NULL, finished_at = :finished_at
    WHERE key = :key AND (state = 'running' AND owner = :owner AND attempts = :attempt
        OR state IN ('ready', 'dead') AND attempts = :attempt
        OR state IN ('ready', 'running') AND :returned)
"""
GIVE_BACK = """
    UPDATE items SET state = 'ready', due_at = :now, waits_since = :now, interrupted = 1, owner = NULL,
        leased_until = NULL
    WHERE key = :key AND state = 'running' AND owner = :owner AND attempts = :attempt
"""
BROKEN = """
    UPDATE items SET state = 'dead', reason = :reason, finished_at = :now, owner = NULL, leased_until = NULL,
        attempts = attempts + 1
    WHERE id = :id
"""

CONTACT = "SELECT state FROM contacts WHERE contact = ?"
KEEP_CONTACT = "INSERT OR REPLACE INTO contacts (contact, state, changed_at, busy_until) VALUES (?, ?, ?, ?)"
CANCEL = "UPDATE items SET state = 'canceled', finished_at = ? WHERE key = ? AND state = 'ready'"
DUE_NOW = "UPDATE items SET due_at = min(due_at, ?) WHERE key = ? AND state = 'ready'"

COUNT_READY = "SELECT count(*) FROM items WHERE state = 'ready'"
# One count for each index; an item that has finished is done, unless it is dead or canceled.
COUNT_STATES = """
    SELECT
        (SELECT count(*) FROM items WHERE state = 'ready') AS ready,
        (SELECT count(*) FROM items WHERE state = 'running') AS running,
        (SELECT count(*) FROM items WHERE finished_at IS NOT NULL) AS finished,
        (SELECT count(*) FROM items WHERE state = 'dead') AS dead,
        (SELECT count(*) FROM items WHERE state = 'canceled') AS canceled,
        (SELECT count(*) FROM items WHERE state = 'ready' AND kind = 'redial') AS redials,
        (
            SELECT min(at) FROM (
                SELECT min(due_at) AS at FROM items WHERE state = 'ready' AND kind = 'outcome'
                UNION ALL SELECT min(due_at) FROM items WHERE state = 'ready' AND kind = 'redial'
            )
        ) AS oldest
"""
DEAD = f"{_WHOLE} WHERE state = 'dead' ORDER BY finished_at DESC, items.id DESC LIMIT ?"
DEAD_LETTER = "SELECT progress, contact, attempts, reason, finished_at FROM items WHERE key = ? AND state = 'dead'"
REPLAY = """
    UPDATE items SET state = 'ready', attempts = 0, due_at = :due_at, waits_since = :now, reason = NULL,
        finished_at = NULL, progress = :progress
    WHERE key = :key
"""
DISCARD = """
    UPDATE items SET state = 'canceled', payload = NULL, sibling = NULL, progress = NULL, contact = NULL
    WHERE key = :key
"""
# Whoever may take the discard back finds the letter whole. A purge then forgets it.
HOLD = """
    UPDATE items SET state = 'canceled', finished_at = :due_at, reason = coalesce(reason, ''), progress = :progress
    WHERE key = :key
"""
CHANGED = """
    SELECT key, contact, progress FROM items
    WHERE state = 'ready' AND kind IN ('outcome', 'redial') AND due_at = :at AND attempts = 0
    UNION ALL SELECT key, contact, progress FROM items
    WHERE state = 'canceled' AND finished_at = :at AND finished_at > :now
"""
TAKE_BACK = """
    UPDATE items SET state = 'dead', attempts = ?, reason = ?, finished_at = ?, progress = ? WHERE key = ?
"""
PURGE = (
    """
    UPDATE items SET payload = NULL, sibling = NULL, progress = NULL, contact = NULL WHERE id IN (
        SELECT id FROM items
        WHERE finished_at <= :now AND state = 'canceled' AND reason IS NOT NULL AND progress IS NOT NULL
        LIMIT 1000
    )
    """,
    """
    UPDATE items SET payload = NULL, sibling = NULL WHERE id IN (
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
    # Notes are numbered as they come, so that the oldest are found without an index.
    """
    DELETE FROM notes WHERE id IN (
        SELECT id FROM (SELECT id, at FROM notes ORDER BY id LIMIT 1000) WHERE at < :remember
    )
    """,
    "DELETE FROM contacts WHERE contact IN (SELECT contact FROM contacts WHERE changed_at < :long LIMIT 1000)",
)
