"""Counts of the items in a PostgreSQL store. Every function is one step of a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.stores.postgres import lane
from ringback.work.items import State, Stats

if TYPE_CHECKING:
    from ringback.stores.postgres.database import Connection

_READY = "SELECT count(*) FROM (SELECT FROM ringback_items WHERE state = 'ready' LIMIT %s) AS waiting"
_STATS = """
    SELECT state, count(*), count(*) FILTER (WHERE kind = 'redial'), min(due_at) FROM ringback_items GROUP BY state
"""


async def count_ready(connection: Connection, limit: int) -> int:
    row = await (await connection.execute(_READY, (limit,))).fetchone()
    return row[0] if row else 0


async def stats(connection: Connection, now: float) -> Stats:
    counts: dict[str, int] = {}
    redials, oldest = 0, now
    for state, count, calls, due_at in await (await connection.execute(_STATS)).fetchall():
        counts[State(state)] = count
        if state == State.READY:
            redials, oldest = calls, due_at
    return Stats(
        **counts,
        redials=redials,
        oldest_due=max(0.0, now - oldest),
        redials_in_progress=await lane.in_progress(connection, now),
        redials_paused=await lane.paused(connection),
    )
