"""Counts of the items in an SQLite store, as a step of a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.stores.sqlite.lane import in_progress, paused
from ringback.work.items import Stats

if TYPE_CHECKING:
    import sqlite3

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
    counts = dict(connection.execute(_COUNT_STATES).fetchone())
    finished, oldest = counts.pop("finished"), counts.pop("oldest")
    return Stats(
        **counts,
        done=finished - counts["dead"] - counts["canceled"],
        oldest_due=0.0 if oldest is None else max(0.0, now - oldest),
        redials_in_progress=in_progress(connection, now),
        redials_paused=paused(connection, now),
    )
