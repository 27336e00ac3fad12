"""How deliveries were answered, in an SQLite store: by the minute for a day, by the hour for 31 days.

Every function is one step of a transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.work.deliveries import Counted, Deliveries, LastDelivery, deliveries_of, folded_before, last_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence


_MERGE = """
    ON CONFLICT (at, result, reason) DO UPDATE SET
        count = count + excluded.count, last_at = max(last_at, excluded.last_at)
"""
_ADD = f"INSERT INTO deliveries (at, result, reason, count, last_at) VALUES (?, ?, ?, ?, ?) {_MERGE}"
_FOLD = f"""
    INSERT INTO deliveries (at, result, reason, count, last_at)
    SELECT at - at % 3600, result, reason, sum(count), max(last_at) FROM deliveries
    WHERE at < ? AND at % 3600 <> 0 GROUP BY 1, 2, 3 {_MERGE}
"""
_FORGET_FOLDED = "DELETE FROM deliveries WHERE at < ? AND at % 3600 <> 0"
# The last delivery of each result stays, however long ago it came.
_FORGET = """
    DELETE FROM deliveries WHERE at < ? AND last_at < (
        SELECT max(last_at) FROM deliveries AS other WHERE other.result = deliveries.result
    )
"""
_COUNTS = """
    SELECT CAST((at - :since) / :step AS INTEGER) AS bar, result, reason, sum(count) FROM deliveries
    WHERE at >= :since AND at < :until GROUP BY bar, result, reason
"""
_LAST = "SELECT result, max(last_at), min(at) FROM deliveries GROUP BY result"


def add(connection: sqlite3.Connection, counted: Iterable[Counted]) -> None:
    connection.executemany(_ADD, [(each.at, each.result, each.reason, each.count, each.last_at) for each in counted])


def fold(connection: sqlite3.Connection, now: float, forget: float) -> int:
    """Add up by the hour what is old enough, and forget what is from before ``forget``. How many rows changed."""
    before = (folded_before(now),)
    connection.execute(_FOLD, before)
    folded = connection.execute(_FORGET_FOLDED, before).rowcount
    return folded + connection.execute(_FORGET, (forget,)).rowcount


def deliveries(connection: sqlite3.Connection, since: float, until: float, step: float) -> Sequence[Deliveries]:
    rows = connection.execute(_COUNTS, {"since": float(since), "until": until, "step": float(step)})
    return deliveries_of((tuple(row) for row in rows), since, step)


def last(connection: sqlite3.Connection) -> LastDelivery:
    return last_of(connection.execute(_LAST))
