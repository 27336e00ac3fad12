"""What a fault of PostgreSQL means to the caller of the store."""

from __future__ import annotations

from typing import Any

import pytest

psycopg = pytest.importorskip("psycopg")
pytest.importorskip("procrastinate")

from procrastinate.exceptions import ConnectorException  # noqa: E402

from ringback.exceptions import StoreError, StoreFull, StoreUnavailable  # noqa: E402
from ringback.stores.postgres.faults import store_error, translated  # noqa: E402


@pytest.mark.parametrize(
    ("error", "type_", "says"),
    [
        (psycopg.errors.DiskFull("no space"), StoreFull, "no room left: no space"),
        (psycopg.errors.UndefinedTable("gone"), StoreError, "refuses: gone; give the role its rights"),
        (psycopg.errors.ReadOnlySqlTransaction("standby"), StoreUnavailable, "cannot be used now: standby"),
        (psycopg.errors.NotNullViolation("null"), StoreError, "refuses: null"),
        (psycopg.OperationalError('database "x" does not exist'), StoreError, "create the database first"),
        (psycopg.OperationalError(), StoreUnavailable, "OperationalError"),
    ],
    ids=["full", "table", "standby", "row", "database", "silent"],
)
def test_a_fault_says_whether_it_may_pass(error: Any, type_: type[StoreError], says: str) -> None:
    """StoreUnavailable is tried again, StoreError is for a person."""
    found = store_error(error)
    assert type(found) is type_
    assert says in str(found)


def test_a_fault_without_a_cause_may_pass() -> None:
    """procrastinate's own error says nothing of what happened."""
    with pytest.raises(StoreUnavailable), translated():
        raise ConnectorException


def test_procrastinates_error_is_judged_by_its_cause() -> None:
    """What the server said decides, not the library's own error around it."""
    with pytest.raises(StoreFull), translated():
        raise ConnectorException from psycopg.errors.DiskFull("no space")
