"""A fault of PostgreSQL as an error of the store: whether the fault may pass, and what helps."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from procrastinate.exceptions import ProcrastinateException

from ringback.exceptions import StoreError, StoreFull, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator

_TABLES = (
    "the database has not what this release made there; see that search_path is as it was, that nobody changed the "
    "tables or functions, and that PostgreSQL is 13 or newer; in a new database the app makes them when it starts"
)
_READ_ONLY = (
    "name the primary, or every server with target_session_attrs=read-write; if it is the primary, give it more "
    "storage: Azure makes a server read-only whose disk is nearly full"
)
_POOLED = (
    "a pooler such as PgBouncer gives each transaction another connection; say so with "
    "PostgresStore('postgresql://...', listen=False), which keeps nothing in a connection"
)
SLOW = "look for locks in pg_stat_activity, for a pooler that is paused, and for a slow disk"
"""What helps where PostgreSQL does not answer in time, and nobody says why."""
_LIMITED = (
    "a limit that the role or database sets ended the connection, and Ringback tries again; raise {}, and look for "
    "loop.blocked in the log"
)
_MEANINGS: dict[str, tuple[type[StoreError], str]] = {
    "08": (StoreUnavailable, "see that PostgreSQL, and a pooler before it, run and can be reached"),
    "08P01": (StoreUnavailable, "the pooler before PostgreSQL does not reach it; read the pooler's log"),
    "0A": (StoreError, "leave the parameter out of the URL, or list it in PgBouncer's ignore_startup_parameters"),
    "22": (StoreError, "Ringback wrote a value that the table cannot hold; report this text"),
    "23": (StoreError, "Ringback wrote a value that the table cannot hold; report this text"),
    "25006": (StoreUnavailable, _READ_ONLY),
    "25P03": (StoreUnavailable, _LIMITED.format("idle_in_transaction_session_timeout")),
    "25P04": (StoreUnavailable, _LIMITED.format("transaction_timeout")),
    "26": (StoreUnavailable, _POOLED),
    "28": (StoreError, "check the user, the password and pg_hba.conf"),
    "3D": (StoreError, "create the database first, or name another one"),
    "3F": (StoreError, "create the schema that search_path names"),
    "40": (StoreUnavailable, "transactions hindered each other, and Ringback tries again"),
    "42": (StoreError, _TABLES),
    "42501": (StoreError, "give the role its rights on the tables; to make them, CREATE on the schema"),
    "42P05": (StoreUnavailable, _POOLED),
    "53": (StoreUnavailable, "give the server what it lacks"),
    "53100": (StoreFull, "make room on the server's disk"),
    "53200": (StoreFull, "give the server more memory"),
    "53300": (StoreUnavailable, "raise max_connections, lower pool_size, or put PgBouncer before PostgreSQL"),
    "55P03": (StoreUnavailable, "somebody holds the lock; look for long transactions in pg_stat_activity"),
    "57": (StoreUnavailable, "somebody stops or starts PostgreSQL, and Ringback tries again"),
    "57014": (StoreUnavailable, f"it took too long; {SLOW}"),
    "57P04": (StoreError, "create the database first, or name another one"),
    "57P05": (StoreUnavailable, _LIMITED.format("idle_session_timeout")),
    "58": (StoreUnavailable, "a file or disk of the server fails; read PostgreSQL's log"),
    "XX": (StoreUnavailable, "the server has a fault of its own; read PostgreSQL's log"),
}
"""What a fault means and what helps, by its SQLSTATE, or by the first two characters, the class, for all other faults
of the class. Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

_STATES = (
    (re.compile("authentication failed|no pg_hba.conf entry|no password supplied|not permitted to log in"), "28000"),
    (re.compile("database .* does not exist|no such database"), "3D000"),
    (re.compile("role .* does not exist|no such user"), "28000"),
    (re.compile("permission denied for database"), "42501"),
    (re.compile("unsupported startup parameter"), "0A000"),
    (re.compile("too many (clients|connections)|connection slots are reserved|no more connections allowed"), "53300"),
    (re.compile("the database system is "), "57P03"),
)
"""The SQLSTATE for the server's or PgBouncer's text, because libpq has no SQLSTATE for a connection that failed. A text
that is unknown, or in another language, counts as a fault that may pass: to wait does no harm.
"""


@contextmanager
def translated() -> Generator[None]:
    """Raise :class:`StoreError` for what psycopg and procrastinate raise in the context."""
    try:
        yield
    except (psycopg.Error, ProcrastinateException) as error:
        raise store_error(error) from error


def store_error(error: psycopg.Error | ProcrastinateException) -> StoreError:
    """The store's error for what psycopg or procrastinate raised. procrastinate's error is judged by its cause."""
    if not isinstance(error, psycopg.Error):
        cause = error.__cause__
        if isinstance(cause, psycopg.Error):
            return store_error(cause)
        return StoreUnavailable(f"PostgreSQL did not do it: {_line(error)}")
    state = error.sqlstate or next((state for pattern, state in _STATES if pattern.search(str(error))), "")
    # Without PostgreSQL's details, which may quote stored values.
    text = error.diag.message_primary or _line(error)
    if error.sqlstate:
        text = f"{text} ({state})"
    kind, remedy = _MEANINGS.get(state) or _MEANINGS.get(state[:2]) or (None, None)
    if kind is None:
        passes = isinstance(error, psycopg.OperationalError | psycopg.InternalError)
        kind = StoreUnavailable if passes else StoreError
    said = f"PostgreSQL {_SAYS[kind]}: {text}"
    return kind(said if remedy is None else f"{said}; {remedy}")


_SAYS = {StoreError: "refuses", StoreFull: "has no room left", StoreUnavailable: "cannot be used now"}


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
