"""What workers do with the items of a PostgreSQL store. Every function is one step of a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.core.times import SLACK
from ringback.exceptions import StoreError
from ringback.privacy.redaction import redact
from ringback.stores.postgres.database import Connection, changed
from ringback.stores.postgres.redials import keep, known_of
from ringback.stores.postgres.schema import storable
from ringback.stores.record import dump_progress, load, load_progress
from ringback.stores.rows import settled
from ringback.work.items import Claim, Item, Kind, Progress, Settlement

if TYPE_CHECKING:
    from collections.abc import Sequence


_ITEM = "key, kind, due_at, attempts, interrupted, contact, target, number, payload, sibling, progress, created_at"
# The same owner may claim an item again with the same result: PostgreSQL's first answer may have been lost.
_CLAIM = f"""
    UPDATE ringback_items SET state = 'running', owner = %(owner)s, worker = %(worker)s,
        attempts = attempts + CASE WHEN state = 'ready' THEN 1 ELSE 0 END
    WHERE key = %(key)s AND kind = %(kind)s AND (state = 'running' AND owner = %(owner)s
        OR state = 'ready' AND due_at <= %(now)s AND (interrupted < 2 OR %(suspects)s))
    RETURNING {_ITEM}
"""
_WAITS = """
    SELECT due_at, extract(epoch FROM clock_timestamp())::float8 FROM ringback_items
    WHERE key = %s AND kind = 'outcome' AND state = 'ready'
"""
_OURS = "key = %(key)s AND state = 'running' AND owner = %(owner)s"
_CHECKPOINT = f"UPDATE ringback_items SET progress = %(progress)s WHERE {_OURS}"
# The second line is for what nobody has worked on since; the third says that every hook has returned, which counts
# while the item is open.
_SETTLE = """
    UPDATE ringback_items SET state = %(state)s, progress = %(progress)s, reason = %(reason)s,
        due_at = coalesce(%(due_at)s::float8, due_at), waits_since = %(now)s, finished_at = %(finished_at)s,
        owner = NULL, worker = NULL, interrupted = 0
    WHERE key = %(key)s AND (state = 'running' AND owner = %(owner)s
        OR state IN ('ready', 'dead') AND attempts = %(attempt)s
        OR state IN ('ready', 'running') AND %(returned)s)
"""
_GIVE_BACK = f"""
    UPDATE ringback_items SET state = 'ready', due_at = %(now)s, waits_since = %(now)s, owner = NULL, worker = NULL,
        interrupted = 1
    WHERE {_OURS}
"""
# An outcome that waits since before the wall clock was set back waits as long as it would have. A redial waits for a
# time of the day.
_SET_RIGHT = """
    UPDATE ringback_items SET
        due_at = %(now)s + due_at - coalesce(waits_since, created_at), waits_since = %(now)s,
        created_at = least(created_at, %(now)s)
    WHERE state = 'ready' AND due_at > %(soon)s AND kind = 'outcome'
      AND coalesce(waits_since, created_at) > %(soon)s
    RETURNING key, due_at
"""


async def claim(
    connection: Connection, key: str, kind: Kind, owner: str, worker: int | None, now: float, *, suspects: bool = True
) -> Claim | None:
    """The claim, if the item is of this kind, ready and due, and with ``suspects`` also if a dead worker has left it.

    An item whose record cannot be read becomes a dead letter.
    """
    parameters = {"key": key, "kind": kind.value, "owner": owner, "worker": worker, "now": now, "suspects": suspects}
    row = await (await connection.execute(_CLAIM, parameters)).fetchone()
    if row is None:
        return None
    _, _, due_at, attempts, interrupted, contact, target, number, payload, sibling, progress, put_at = row
    try:
        outcome, done = load(payload or b"", sibling), load_progress(progress).without_change()
    except StoreError as error:
        reason = storable(redact(str(error)))
        broken = {"key": key, "owner": owner, "state": "dead", "reason": reason, "due_at": None, "finished_at": now}
        await connection.execute(
            _SETTLE, {**broken, "progress": progress, "attempt": attempts, "returned": False, "now": now}
        )
        return None
    item = Item(key, kind, due_at, outcome, contact, target, number)
    redelivered, crashed = interrupted > 0, interrupted == 2
    return Claim(item, attempts, redelivered=redelivered, crashed=crashed, progress=done, put_at=put_at)


async def waits(connection: Connection, key: str) -> tuple[float, float] | None:
    """When the item is due, and PostgreSQL's time, both in seconds since the epoch; ``None`` for an item not ready."""
    row = await (await connection.execute(_WAITS, (key,))).fetchone()
    return None if row is None else (row[0], row[1])


async def checkpoint(connection: Connection, key: str, owner: str, progress: Progress) -> bool:
    parameters = {"key": key, "owner": owner, "progress": dump_progress(progress)}
    return await changed(connection, _CHECKPOINT, parameters) == 1


async def settle(connection: Connection, claim: Claim, owner: str, settlement: Settlement, now: float) -> bool:
    values = settled(claim, settlement, owner, now) | {"reason": storable(settlement.reason)}
    contact = claim.item.contact
    if settlement.call is None or contact is None:
        return await changed(connection, _SETTLE, values) == 1
    known = await known_of(connection, (contact,), now)
    written = await changed(connection, _SETTLE, values) == 1
    if written:
        await keep(connection, known, {contact: settlement.noted_in(known[contact], claim.item.key, now)}, now)
    return written


async def give_back(connection: Connection, key: str, owner: str, now: float) -> bool:
    return await changed(connection, _GIVE_BACK, {"key": key, "owner": owner, "now": now}) == 1


async def set_right(connection: Connection, now: float) -> Sequence[tuple[str, float]]:
    """After the wall clock was set back, let no outcome wait until the clock has caught up.

    Gives the keys and times for which the caller must make a job.
    """
    parameters = {"now": now, "soon": now + SLACK}
    return [(key, at) for key, at in await (await connection.execute(_SET_RIGHT, parameters)).fetchall()]
