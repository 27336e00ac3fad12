"""What a person reads in an SQLite store: counts of its items, and its history. A thread of its own reads them over a
connection that cannot write.

The write-ahead log lets the thread read while other connections write, so no put waits for a reader.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

from ringback.stores.history_rows import contact_of, counts_of, ended_of, pair_of, refuse_odd_steps, waiting_of
from ringback.stores.sqlite import calls, deliveries
from ringback.stores.sqlite.redials import in_progress, paused
from ringback.stores.sqlite.schema import WHOLE
from ringback.work.items import Kind, Stats

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from ringback.stores.sqlite.database import Database
    from ringback.work.contact import Contact
    from ringback.work.deliveries import Deliveries, LastDelivery
    from ringback.work.history import CallFilter, Count, Ended, Found, Pair, Waiting
    from ringback_catalog import Match

T = TypeVar("T")

_COUNTS = """
    SELECT CAST((created_at - :since) / :step AS INTEGER) AS bar, cause, category, retry, count(*) FROM items
    WHERE cause IS NOT NULL AND created_at >= :since AND created_at < :until
    GROUP BY bar, cause, category, retry
"""
# SQLite sorts the rows to group them, and compares numbers that differ sooner than words that are alike.
_PAIRS = """
    SELECT event, code, subcode, match, cause, retry, count(*) AS often, max(created_at) AS last_at FROM items
    WHERE cause IS NOT NULL AND created_at >= :since AND created_at < :until AND (:match IS NULL OR match = :match)
    GROUP BY subcode, code, event, cause, match, retry
    ORDER BY often DESC, last_at DESC, event, code, subcode, match, cause, retry LIMIT :limit
"""
_LATEST = f"""
    SELECT key, created_at, state, event, code, subcode, match, cause, category, retry, duplicates, payload, sibling,
           text
    FROM {WHOLE} WHERE cause IS NOT NULL ORDER BY created_at DESC, items.id DESC LIMIT :limit
"""
_WAITING = "items.id, key, kind, state, due_at, attempts, payload, sibling, contact, target, number, progress, text"
# SQLite has an index for either state and none for both.
_WAITS = f"""
    SELECT * FROM (
        SELECT {_WAITING} FROM {WHOLE} WHERE state = 'ready' AND kind = :kind ORDER BY due_at, items.id LIMIT :limit
    ) UNION ALL SELECT * FROM (
        SELECT {_WAITING} FROM {WHOLE} WHERE state = 'running' AND kind = :kind ORDER BY due_at, items.id LIMIT :limit
    ) ORDER BY due_at, id LIMIT :limit
"""
_ITEM = f"SELECT {_WAITING} FROM {WHOLE} WHERE key = :key"
_CONTACTS = """
    SELECT contact, state FROM contacts WHERE contact > :after AND changed_at >= :since ORDER BY contact LIMIT :limit
"""
# One count for each index; an item that has finished is done, unless it is dead or canceled.
_COUNT_STATES = """
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


def stats(connection: sqlite3.Connection, now: float) -> Stats:
    """The counts, as a step of a transaction."""
    counts = dict(connection.execute(_COUNT_STATES).fetchone())
    finished, oldest = counts.pop("finished"), counts.pop("oldest")
    return Stats(
        **counts,
        done=finished - counts["dead"] - counts["canceled"],
        oldest_due=0.0 if oldest is None else max(0.0, now - oldest),
        redials_in_progress=in_progress(connection, now),
        redials_paused=paused(connection, now),
    )


class SQLiteHistory:
    """Implements ``History``. Every method raises :class:`StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def counts(self, since: float, until: float, step: float) -> Sequence[Count]:
        refuse_odd_steps(since, step)
        parameters = {"since": float(since), "until": until, "step": float(step)}
        return counts_of(await self._rows(_COUNTS, parameters, tuple), since, step)

    async def pairs(
        self, since: float, limit: int, match: Match | None = None, until: float = math.inf
    ) -> Sequence[Pair]:
        parameters = {"since": since, "until": until, "limit": max(0, limit), "match": match and match.value}
        return await self._rows(_PAIRS, parameters, lambda row: pair_of(*row))

    async def latest(self, limit: int) -> Sequence[Ended]:
        return await self._rows(_LATEST, {"limit": max(0, limit)}, lambda row: ended_of(*row))

    async def waiting(self, kind: Kind, limit: int) -> Sequence[Waiting]:
        parameters = {"kind": kind.value, "limit": max(0, limit)}
        return await self._rows(_WAITS, parameters, lambda row: waiting_of(*row[1:]))

    async def item(self, key: str) -> Waiting | None:
        return next(iter(await self._rows(_ITEM, {"key": key}, lambda row: waiting_of(*row[1:]))), None)

    async def calls(self, chosen: CallFilter, limit: int, offset: int = 0, *, oldest_first: bool = False) -> Found:
        page = max(0, limit), max(0, offset)
        return await self._database.read(
            lambda connection: calls.calls(connection, chosen, *page, oldest_first=oldest_first)
        )

    async def deliveries(self, since: float, until: float, step: float) -> Sequence[Deliveries]:
        refuse_odd_steps(since, step)
        return await self._database.read(lambda connection: deliveries.deliveries(connection, since, until, step))

    async def last_delivery(self) -> LastDelivery:
        return await self._database.read(deliveries.last)

    async def contacts(self, since: float, after: str, limit: int) -> Sequence[tuple[str, Contact]]:
        parameters = {"since": since, "after": after, "limit": max(0, limit)}
        return await self._rows(_CONTACTS, parameters, lambda row: contact_of(*row))

    async def _rows(self, query: str, parameters: dict[str, Any], made: Callable[[Any], T]) -> list[T]:
        def operation(connection: sqlite3.Connection) -> list[T]:
            return [made(row) for row in connection.execute(query, parameters)]

        return await self._database.read(operation)
