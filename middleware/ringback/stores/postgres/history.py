"""What a person reads in a PostgreSQL store, by the pool for all but puts: counts of its items, and its history."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, LiteralString

from ringback.stores.history_rows import contact_of, counts_of, ended_of, pair_of, refuse_odd_steps, waiting_of
from ringback.stores.postgres import calls, deliveries, redials
from ringback.work.items import Kind, State, Stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ringback.stores.postgres.database import Connection
    from ringback.stores.postgres.databases import Databases
    from ringback.work.contact import Contact
    from ringback.work.deliveries import Deliveries, LastDelivery
    from ringback.work.history import CallFilter, Count, Ended, Found, Pair, Waiting
    from ringback_catalog import Match

    Rows = list[tuple[Any, ...]]


_COUNTS = """
    SELECT trunc((created_at - %(since)s::float8) / %(step)s::float8) AS bar, cause, category, retry, count(*)
    FROM ringback_items
    WHERE cause IS NOT NULL AND created_at >= %(since)s::float8 AND created_at < %(until)s::float8
    GROUP BY bar, cause, category, retry
"""
# Words in the order of their bytes and NULL first, whatever the database's language, as in every other store.
_PAIRS = """
    SELECT event, code, subcode, match, cause, retry, count(*) AS often, max(created_at) AS last_at FROM ringback_items
    WHERE cause IS NOT NULL AND created_at >= %(since)s::float8 AND created_at < %(until)s::float8
      AND (%(match)s::text IS NULL OR match = %(match)s::text)
    GROUP BY event, code, subcode, match, cause, retry
    ORDER BY often DESC, last_at DESC, event COLLATE "C", code NULLS FIRST, subcode NULLS FIRST,
        match COLLATE "C", cause COLLATE "C", retry COLLATE "C"
    LIMIT %(limit)s
"""
_LATEST = """
    SELECT key, created_at, state, event, code, subcode, match, cause, category, retry, duplicates, payload, sibling
    FROM ringback_items WHERE cause IS NOT NULL ORDER BY created_at DESC, key LIMIT %(limit)s
"""
_WAITING = "key, kind, state, due_at, attempts, payload, sibling, contact, target, number, progress"
# PostgreSQL has an index for either state and none for both.
_WAITS = f"""
    (
        SELECT {_WAITING} FROM ringback_items WHERE state = 'ready' AND kind = %(kind)s
        ORDER BY due_at, key LIMIT %(limit)s
    ) UNION ALL (
        SELECT {_WAITING} FROM ringback_items WHERE state = 'running' AND kind = %(kind)s
        ORDER BY due_at, key LIMIT %(limit)s
    ) ORDER BY due_at, key LIMIT %(limit)s
"""
_ITEM = f"SELECT {_WAITING} FROM ringback_items WHERE key = %(key)s"
_CONTACTS = """
    SELECT contact, state FROM ringback_contacts
    WHERE contact > %(after)s AND changed_at >= %(since)s::float8
    ORDER BY contact LIMIT %(limit)s
"""
_STATS = """
    SELECT state, count(*), count(*) FILTER (WHERE kind = 'redial'), min(due_at) FROM ringback_items GROUP BY state
"""


async def stats(connection: Connection, now: float) -> Stats:
    """The counts, as a step of a transaction."""
    counts: dict[str, int] = {}
    waiting, oldest = 0, now
    for state, count, of_redials, due_at in await (await connection.execute(_STATS)).fetchall():
        counts[State(state)] = count
        if state == State.READY:
            waiting, oldest = of_redials, due_at
    return Stats(
        **counts,
        redials=waiting,
        oldest_due=max(0.0, now - oldest),
        redials_in_progress=await redials.in_progress(connection, now),
        redials_paused=await redials.paused(connection),
    )


class PostgresHistory:
    """Implements ``History``. Every method raises :class:`StoreError`."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    async def counts(self, since: float, until: float, step: float) -> Sequence[Count]:
        refuse_odd_steps(since, step)
        rows: list[Any] = await self._rows(_COUNTS, {"since": since, "until": until, "step": step})
        return counts_of(rows, since, step)

    async def pairs(
        self, since: float, limit: int, match: Match | None = None, until: float = math.inf
    ) -> Sequence[Pair]:
        parameters = {"since": since, "until": until, "limit": max(0, limit), "match": match and match.value}
        return [pair_of(*row) for row in await self._rows(_PAIRS, parameters)]

    async def latest(self, limit: int) -> Sequence[Ended]:
        return [ended_of(*row) for row in await self._rows(_LATEST, {"limit": max(0, limit)})]

    async def waiting(self, kind: Kind, limit: int) -> Sequence[Waiting]:
        parameters = {"kind": kind.value, "limit": max(0, limit)}
        return [waiting_of(*row) for row in await self._rows(_WAITS, parameters)]

    async def item(self, key: str) -> Waiting | None:
        return next((waiting_of(*row) for row in await self._rows(_ITEM, {"key": key})), None)

    async def calls(self, chosen: CallFilter, limit: int, offset: int = 0, *, oldest_first: bool = False) -> Found:
        page = max(0, limit), max(0, offset)
        return await self._databases.do(
            lambda connection: calls.calls(connection, chosen, *page, oldest_first=oldest_first)
        )

    async def deliveries(self, since: float, until: float, step: float) -> Sequence[Deliveries]:
        refuse_odd_steps(since, step)
        return await self._databases.do(lambda connection: deliveries.deliveries(connection, since, until, step))

    async def last_delivery(self) -> LastDelivery:
        return await self._databases.do(deliveries.last)

    async def contacts(self, since: float, after: str, limit: int) -> Sequence[tuple[str, Contact]]:
        parameters = {"since": since, "after": after, "limit": max(0, limit)}
        return [contact_of(*row) for row in await self._rows(_CONTACTS, parameters)]

    async def _rows(self, query: LiteralString, parameters: dict[str, Any]) -> Rows:
        async def operation(connection: Connection) -> Rows:
            return await (await connection.execute(query, parameters)).fetchall()

        return await self._databases.do(operation)
