"""The lane of redials in an SQLite store, which its processes share. Every function is one step of a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.work.pace import Lane, Pace

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from ringback.work.items import Claim

_LANE = "SELECT next_at, paused_until FROM lane"
_SET = "UPDATE lane SET next_at = ?, paused_until = ?"
# An event may tell of a call before the function that placed the call has returned: that is one redial.
_IN_PROGRESS = """
    SELECT count(*) FROM (
        SELECT contact FROM items WHERE state = 'running' AND kind = 'redial'
        UNION SELECT contact FROM contacts WHERE busy_until > ?
    )
"""


def claim(
    connection: sqlite3.Connection,
    pace: Pace,
    limit: int,
    now: float,
    some: Callable[..., tuple[list[Claim], float | None]],
) -> tuple[list[Claim], float | None]:
    """Claim redials with ``some``, no more than the lane has room for, which the store's processes share.

    ``some`` is ``claim`` of :mod:`ringback.stores.sqlite.claims` without what its calls share. What a dead worker has
    left counts as in progress already.
    """
    lane = _lane(connection)
    busy = 0 if pace.in_progress is None else in_progress(connection, now)
    new, in_all = lane.room(pace, busy, now), lane.room(pace, 0, now)
    room = limit if in_all is None else min(limit, in_all)
    limit = limit if new is None else min(limit, new)
    claims, due_at = some(limit=limit, room=room)
    _keep(connection, lane, after := lane.after(pace, len(claims), now))
    return claims, after.next_look(pace, due_at, now, full=not limit)


def in_progress(connection: sqlite3.Connection, now: float) -> int:
    """How many redials have begun and are not known to have ended."""
    (count,) = connection.execute(_IN_PROGRESS, (now,)).fetchone()
    return int(count)


def pause(connection: sqlite3.Connection, until: float) -> None:
    lane = _lane(connection)
    _keep(connection, lane, lane.paused(until))


def paused(connection: sqlite3.Connection, now: float) -> float:
    """Seconds until the lane's pause ends; 0 without one."""
    return max(0.0, _lane(connection).paused_until - now)


def _lane(connection: sqlite3.Connection) -> Lane:
    return Lane(*connection.execute(_LANE).fetchone())


def _keep(connection: sqlite3.Connection, before: Lane, after: Lane) -> None:
    if after != before:
        connection.execute(_SET, (after.next_at, after.paused_until))
