"""A fault of PostgreSQL as an error of the store: whether the fault may pass, and what helps."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from procrastinate.exceptions import ConnectorException

from ringback.exceptions import StoreError, StoreFull, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator

_LASTING = {
    "28": "check the user, the password and pg_hba.conf",
    "3D": "create the database first, or name another one",
    "3F": "create the schema that search_path names",
    "42": "give the role its rights on the tables (to make them: CREATE on the schema), or migrate the database",
}
"""Remedies of the faults that do not pass, by the class of their SQLSTATE.

Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

_REFUSALS = (
    (re.compile("authentication failed|no pg_hba.conf entry|no password supplied|not permitted to log in"), "28000"),
    (re.compile("database .* does not exist"), "3D000"),
    (re.compile("role .* does not exist"), "28000"),
    (re.compile("permission denied for database"), "42501"),
)
"""The SQLSTATE for the server's text, because libpq has no SQLSTATE for a connection that failed. A text that is
unknown, or in another language, counts as a fault that may pass: to wait does no harm.
"""

_FULL = frozenset({"53100", "53200"})


@contextmanager
def translated() -> Generator[None]:
    """Raise :class:`StoreError` for what psycopg and procrastinate raise in the context."""
    try:
        yield
    except psycopg.Error as error:
        raise store_error(error) from error
    except ConnectorException as error:
        cause = error.__cause__
        if isinstance(cause, psycopg.Error):
            raise store_error(cause) from error
        raise StoreUnavailable(f"PostgreSQL did not do it: {error}") from error


def store_error(error: psycopg.Error) -> StoreError:
    state = error.sqlstate or _refusal(str(error))
    # Without PostgreSQL's details, which may quote stored values.
    text = error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__
    if state in _FULL:
        return StoreFull(f"PostgreSQL has no room left: {text}")
    remedy = _LASTING.get(state[:2])
    if remedy is not None:
        return StoreError(f"PostgreSQL refuses: {text}; {remedy}")
    if isinstance(error, psycopg.OperationalError | psycopg.InternalError):
        return StoreUnavailable(f"PostgreSQL cannot be used now: {text}")
    return StoreError(f"PostgreSQL refuses: {text}")


def _refusal(text: str) -> str:
    return next((state for pattern, state in _REFUSALS if pattern.search(text)), "")
