"""What redials of an SQLite store go by: the lane that its processes share, and what is known of contacts.

Every function is one step of a transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.stores.record import dump_contact, load_contact
from ringback.stores.sqlite.schema import CONTACT
from ringback.work.pace import Lane, Pace

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from ringback.work.contact import Contact
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
_KEEP_CONTACT = "INSERT OR REPLACE INTO contacts (contact, state, changed_at, busy_until) VALUES (?, ?, ?, ?)"


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
    _keep_lane(connection, lane, after := lane.after(pace, len(claims), now))
    return claims, after.next_look(pace, due_at, now, full=not limit)


def in_progress(connection: sqlite3.Connection, now: float) -> int:
    """How many redials have begun and are not known to have ended."""
    (count,) = connection.execute(_IN_PROGRESS, (now,)).fetchone()
    return int(count)


def pause(connection: sqlite3.Connection, until: float) -> None:
    lane = _lane(connection)
    _keep_lane(connection, lane, lane.paused(until))


def paused(connection: sqlite3.Connection, now: float) -> float:
    """Seconds until the lane's pause ends; 0 without one."""
    return max(0.0, _lane(connection).paused_until - now)


def _lane(connection: sqlite3.Connection) -> Lane:
    return Lane(*connection.execute(_LANE).fetchone())


def _keep_lane(connection: sqlite3.Connection, before: Lane, after: Lane) -> None:
    if after != before:
        connection.execute(_SET, (after.next_at, after.paused_until))


def known_of(connection: sqlite3.Connection, contact: str, now: float) -> Contact:
    row = connection.execute(CONTACT, (contact,)).fetchone()
    return load_contact(None if row is None else row["state"]).recent(now)


def keep(connection: sqlite3.Connection, contact: str, before: Contact, after: Contact, now: float) -> None:
    if after != before:
        values = contact, dump_contact(after), after.changed_at(now), after.busy_until
        connection.execute(_KEEP_CONTACT, values)
