"""What redials of a PostgreSQL store go by: the lane that all workers share, and what is known of contacts.

Every function is one step of a transaction. Rate and pauses go by PostgreSQL's clock, because the clocks of two
machines differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.stores.record import dump_contact, load_contact
from ringback.work.pace import Lane, Pace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from ringback.stores.postgres.database import Connection
    from ringback.work.contact import Contact
    from ringback.work.items import Claim

_NOW = "extract(epoch FROM clock_timestamp())::float8"
_LANE = f"SELECT next_at, paused_until, {_NOW} FROM ringback_lane"
_KEEP = "UPDATE ringback_lane SET next_at = %s, paused_until = %s"
_NEXT_DUE = """
    SELECT min(due_at) FROM ringback_items WHERE kind = 'redial' AND state = 'ready' AND (interrupted < 2 OR %s)
"""
_DUE = """
    SELECT key, interrupted FROM ringback_items
    WHERE kind = 'redial' AND state = 'ready' AND due_at <= %s AND (interrupted < 2 OR %s)
    ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED
"""
_CLAIMED = """
    SELECT key FROM ringback_items WHERE kind = 'redial' AND state = 'running' AND worker = %s AND owner = %s
"""
# An event may tell of a call before the function that placed the call has returned: that is one redial.
_IN_PROGRESS = """
    SELECT count(*) FROM (
        SELECT contact FROM ringback_items WHERE kind = 'redial' AND state = 'running'
        UNION SELECT contact FROM ringback_contacts WHERE busy_until > %s
    ) AS called
"""
# One transaction at a time changes what is known of a contact, and its redials. In the order of the array.
_LOCK = """
    SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM (
        SELECT name FROM unnest(%s::text[]) WITH ORDINALITY AS given (name, place) ORDER BY place
    ) AS ordered
"""
_KNOWN = "SELECT contact, state FROM ringback_contacts WHERE contact = ANY(%s)"
_KEEP_CONTACTS = """
    INSERT INTO ringback_contacts (contact, state, changed_at, busy_until)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::float8[], %s::float8[])
    ON CONFLICT (contact) DO UPDATE
        SET state = EXCLUDED.state, changed_at = EXCLUDED.changed_at, busy_until = EXCLUDED.busy_until
"""


async def claim(
    connection: Connection,
    pace: Pace,
    limit: int,
    owner: str,
    worker: int,
    now: float,
    one: Callable[[str], Awaitable[Claim | None]],
    *,
    again: bool = False,
    suspects: bool = True,
) -> tuple[list[Claim], float | None]:
    """Claim redials that are due, the oldest first, as many as the lane has room for. Also when to look again.

    ``one`` is ``claim`` of :mod:`ringback.stores.postgres.claims` without what its calls share. ``now`` is this
    process's time. ``again``: an earlier claim for this owner may have succeeded, and its result is lost. With
    ``suspects`` one of the redials that a dead worker has left may be among them.
    """
    lost = await (await connection.execute(_CLAIMED, (worker, owner))).fetchall() if again else []
    if lost:
        return await _claimed(one, [key for (key,) in lost]), now
    due_at = await _next_due(connection, suspects=suspects)
    if due_at is None or due_at > now:
        return [], due_at
    lane, theirs = await _locked(connection)
    busy = 0 if pace.in_progress is None else await in_progress(connection, now)
    room = lane.room(pace, busy, theirs)
    limit = limit if room is None else min(limit, room)
    due = await (await connection.execute(_DUE, (now, suspects, limit))).fetchall()
    left = [key for key, interrupted in due if interrupted == 2][:1]
    keys = [key for key, interrupted in due if interrupted < 2] + left
    claims = await _claimed(one, keys)
    suspects = suspects and not left
    after = lane.after(pace, len(claims), theirs)
    if after != lane:
        await connection.execute(_KEEP, (after.next_at, after.paused_until))
    due_at, ahead = await _next_due(connection, suspects=suspects), theirs - now
    next_at = after.next_look(pace, None if due_at is None else due_at + ahead, theirs, full=not limit)
    return claims, None if next_at is None else next_at - ahead


async def _claimed(one: Callable[[str], Awaitable[Claim | None]], keys: Sequence[str]) -> list[Claim]:
    """The claims on the redials of these keys, but for those whose records cannot be read."""
    found = [await one(key) for key in keys]
    return [claim for claim in found if claim is not None]


async def pause(connection: Connection, seconds: float) -> None:
    """Nobody claims a redial in the next seconds."""
    lane, theirs = await _locked(connection)
    after = lane.paused(theirs + seconds)
    await connection.execute(_KEEP, (after.next_at, after.paused_until))


async def in_progress(connection: Connection, now: float) -> int:
    """How many redials have begun and are not known to have ended."""
    (row,) = await (await connection.execute(_IN_PROGRESS, (now,))).fetchall()
    return int(row[0])


async def paused(connection: Connection) -> float:
    """Seconds until the lane's pause ends; 0 without one."""
    ((_, until, theirs),) = await (await connection.execute(_LANE)).fetchall()
    return max(0.0, float(until - theirs))


async def _locked(connection: Connection) -> tuple[Lane, float]:
    """The lane, which no other transaction changes before this one ends, and PostgreSQL's time."""
    await connection.execute("SELECT FROM ringback_lane FOR UPDATE")
    # A statement of its own: the time is that after the wait for the lock.
    ((next_at, paused_until, theirs),) = await (await connection.execute(_LANE)).fetchall()
    return Lane(next_at, paused_until), theirs


async def _next_due(connection: Connection, *, suspects: bool) -> float | None:
    rows = await (await connection.execute(_NEXT_DUE, (suspects,))).fetchall()
    due_at: float | None = rows[0][0]
    return due_at


async def lock(connection: Connection, contacts: Iterable[str | None]) -> Sequence[str]:
    """Let no other transaction change what is known of the contacts before this one ends. Gives the contacts in order.

    All transactions lock their contacts in one order, and before the rows of the items that belong to the contacts, so
    that none waits for another that waits for it.
    """
    names = sorted({contact for contact in contacts if contact is not None})
    if names:
        await connection.execute(_LOCK, (names,))
    return names


async def known_of(connection: Connection, contacts: Iterable[str], now: float) -> dict[str, Contact]:
    """What is known of the contacts, which the transaction locks."""
    names = await lock(connection, contacts)
    if not names:
        return {}
    stored = dict(await (await connection.execute(_KNOWN, (names,))).fetchall())
    return {name: load_contact(stored.get(name)).recent(now) for name in names}


async def keep(connection: Connection, before: Mapping[str, Contact], after: Mapping[str, Contact], now: float) -> None:
    changed = [(name, state) for name, state in after.items() if state != before[name]]
    rows = [(name, dump_contact(state).decode(), state.changed_at(now), state.busy_until) for name, state in changed]
    if rows:
        await connection.execute(_KEEP_CONTACTS, [list(column) for column in zip(*rows, strict=True)])
