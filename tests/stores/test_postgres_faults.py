"""What a fault of PostgreSQL means to the caller of the store."""

from __future__ import annotations

from typing import Any

import pytest

psycopg = pytest.importorskip("psycopg")
pytest.importorskip("procrastinate")

from procrastinate.exceptions import ConnectorException  # noqa: E402

from ringback.exceptions import StoreError, StoreFull, StoreUnavailable  # noqa: E402
from ringback.stores.postgres.faults import store_error, translated  # noqa: E402


def raised(state: str, text: str = "text") -> Any:
    """What psycopg raises for this SQLSTATE."""
    return psycopg.errors.lookup(state)(text)


@pytest.mark.parametrize(
    ("state", "type_", "says"),
    [
        (
            "08006",
            StoreUnavailable,
            "cannot be used now: text (08006); see that PostgreSQL, and a pooler before it",
        ),
        ("08P01", StoreUnavailable, "read the pooler's log"),
        ("22003", StoreError, "refuses: text (22003); Ringback wrote a value that the table cannot hold"),
        ("23502", StoreError, "Ringback wrote a value"),
        ("25006", StoreUnavailable, "target_session_attrs=read-write; if it is the primary, give it more storage"),
        ("25P03", StoreUnavailable, "raise idle_in_transaction_session_timeout, and look for loop.blocked"),
        ("25P04", StoreUnavailable, "raise transaction_timeout, and look for loop.blocked"),
        ("26000", StoreUnavailable, "a pooler such as PgBouncer"),
        ("28P01", StoreError, "check the user, the password"),
        ("3D000", StoreError, "create the database first"),
        ("3F000", StoreError, "create the schema that search_path names"),
        ("40P01", StoreUnavailable, "Ringback tries again"),
        ("42501", StoreError, "give the role its rights"),
        ("42601", StoreError, "PostgreSQL is 13 or newer"),
        ("42703", StoreError, "has not what this release made there"),
        ("42883", StoreError, "has not what this release made there"),
        ("42P01", StoreError, "in a new database the app makes them when it starts"),
        ("42P05", StoreUnavailable, "listen=False"),
        ("53100", StoreFull, "has no room left: text (53100); make room on the server's disk"),
        ("53200", StoreFull, "give the server more memory"),
        ("53300", StoreUnavailable, "raise max_connections"),
        ("53400", StoreUnavailable, "give the server what it lacks"),
        ("55P03", StoreUnavailable, "somebody holds the lock"),
        ("57014", StoreUnavailable, "it took too long"),
        ("57P01", StoreUnavailable, "somebody stops or starts PostgreSQL"),
        ("57P04", StoreError, "create the database first"),
        ("57P05", StoreUnavailable, "the role or database sets ended the connection"),
        ("58030", StoreUnavailable, "read PostgreSQL's log"),
        ("XX001", StoreUnavailable, "read PostgreSQL's log"),
    ],
)
def test_a_fault_says_what_it_is_and_whether_it_may_pass(state: str, type_: type[StoreError], says: str) -> None:
    """StoreUnavailable is tried again, StoreError is for a person. Only a missing right is mended by a right."""
    found = store_error(raised(state))
    assert type(found) is type_
    assert says in str(found)
    assert ("rights" in str(found)) == (state == "42501")


def test_every_fault_of_the_server_has_its_words() -> None:
    """psycopg knows every SQLSTATE. Each that a statement of Ringback can meet says what helps."""
    classes = {"08", "22", "23", "26", "28", "3D", "3F", "40", "42", "53", "57", "58", "XX"}
    errors = [getattr(psycopg.errors, name) for name in dir(psycopg.errors)]
    states = {getattr(error, "sqlstate", None) for error in errors}
    known = {state for state in states if isinstance(state, str) and state[:2] in classes}
    assert len(known) > 100
    for state in known:
        found = str(store_error(raised(state)))
        assert f"text ({state}); " in found
        assert ("rights" in found) == (state == "42501")


@pytest.mark.parametrize(
    ("text", "type_", "says"),
    [
        ('database "x" does not exist', StoreError, "create the database first"),
        ("FATAL: no such database: x", StoreError, "create the database first"),
        ("FATAL: password authentication failed", StoreError, "check the user"),
        ("FATAL: unsupported startup parameter: options", StoreError, "ignore_startup_parameters"),
        ("FATAL: sorry, too many clients already", StoreUnavailable, "raise max_connections"),
        ("FATAL: no more connections allowed (max_client_conn)", StoreUnavailable, "raise max_connections"),
        ("FATAL: the database system is starting up", StoreUnavailable, "somebody stops or starts"),
        ("connection refused", StoreUnavailable, "connection refused"),
        ("", StoreUnavailable, "OperationalError"),
    ],
)
def test_a_connection_that_failed_is_known_by_its_text(text: str, type_: type[StoreError], says: str) -> None:
    """It has no SQLSTATE, neither of PostgreSQL nor of PgBouncer."""
    found = store_error(psycopg.OperationalError(text))
    assert type(found) is type_
    assert says in str(found)


def test_what_nobody_knows_is_told_as_it_is() -> None:
    """By psycopg's own judgement, whether it may pass."""
    assert str(store_error(raised("25001"))) == "PostgreSQL cannot be used now: text (25001)"
    found = store_error(psycopg.ProgrammingError("text"))
    assert (type(found), str(found)) == (StoreError, "PostgreSQL refuses: text")


def test_a_fault_without_a_cause_may_pass() -> None:
    """procrastinate's own error says nothing of what happened."""
    with pytest.raises(StoreUnavailable), translated():
        raise ConnectorException


def test_procrastinates_error_is_judged_by_its_cause() -> None:
    """What the server said decides, not the library's own error around it."""
    with pytest.raises(StoreFull), translated():
        raise ConnectorException from psycopg.errors.DiskFull("no space")
