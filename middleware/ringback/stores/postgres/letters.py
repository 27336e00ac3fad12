"""The dead letters of a PostgreSQL store, and what a person makes of them. Every function is one step of a transaction.

A change takes a few statements and as many for the contacts, however many letters there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from ringback.stores.letters import before, name_in, progress_after, takes
from ringback.stores.postgres.redials import keep, known_of, lock
from ringback.stores.record import dump_progress
from ringback.work.items import Before, Kind
from ringback.work.keys import short
from ringback.work.letters import Act, LetterChange, Standing, standing, taken_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ringback.stores.postgres.database import Connection
    from ringback.work.contact import Contact

_DEAD = """
    SELECT key, kind, payload, sibling, attempts, reason, finished_at, progress, target, contact FROM ringback_items
    WHERE state = 'dead' ORDER BY finished_at DESC, created_at DESC, key LIMIT %s
"""
_WHOSE = "SELECT contact FROM ringback_items WHERE key = ANY(%s) AND state = 'dead'"
_CHOSEN = """
    SELECT key, kind, contact, progress, attempts, reason, finished_at FROM ringback_items
    WHERE key = ANY(%s) AND state = 'dead' ORDER BY key FOR UPDATE
"""
_REPLAY = """
    UPDATE ringback_items AS item SET state = 'ready', attempts = 0, due_at = %(due_at)s, waits_since = %(now)s,
        reason = NULL, finished_at = NULL, interrupted = 0, progress = changed.progress
    FROM unnest(%(keys)s::text[], %(progress)s::bytea[]) AS changed (key, progress) WHERE item.key = changed.key
"""
_DISCARD = """
    UPDATE ringback_items SET state = 'canceled', payload = NULL, sibling = NULL, progress = NULL, contact = NULL
    WHERE key = ANY(%(keys)s)
"""
# Whoever may take the discard back finds the letter whole. A purge then forgets it.
_HOLD = """
    UPDATE ringback_items AS item SET state = 'canceled', finished_at = %(due_at)s, reason = coalesce(reason, ''),
        progress = changed.progress
    FROM unnest(%(keys)s::text[], %(progress)s::bytea[]) AS changed (key, progress) WHERE item.key = changed.key
"""
FORGET_DISCARDED: LiteralString = """
    UPDATE ringback_items SET payload = NULL, sibling = NULL, progress = NULL, contact = NULL WHERE key IN (
        SELECT key FROM ringback_items
        WHERE finished_at <= %(before)s AND state = 'canceled' AND reason IS NOT NULL AND progress IS NOT NULL
        LIMIT 1000 FOR UPDATE SKIP LOCKED
    )
"""
# The name is looked for in the bytes first, so that few rows are read and locked; the progress says whose they are.
_REPLAYED: LiteralString = """
    SELECT key, contact, progress, due_at FROM ringback_items
    WHERE state = 'ready' AND due_at BETWEEN %(first)s AND %(last)s AND attempts = 0
        AND position(%(name)s::bytea IN progress) > 0
"""
_HELD: LiteralString = """
    SELECT key, contact, progress, finished_at FROM ringback_items
    WHERE state = 'canceled' AND finished_at BETWEEN %(first)s AND %(last)s AND finished_at > %(now)s
        AND position(%(name)s::bytea IN progress) > 0
"""
_BACK = "SELECT progress FROM ringback_items WHERE state = 'dead' AND position(%(name)s::bytea IN progress) > 0"
_TAKE_BACK = """
    UPDATE ringback_items AS item SET state = 'dead', attempts = was.attempts, reason = was.reason,
        finished_at = was.died_at, progress = was.progress
    FROM unnest(%s::text[], %s::int[], %s::text[], %s::float8[], %s::bytea[])
        AS was (key, attempts, reason, died_at, progress)
    WHERE item.key = was.key
"""


async def dead(connection: Connection, limit: int) -> Sequence[tuple[Any, ...]]:
    """The rows of the newest dead letters, the newest first, for :func:`ringback.stores.letters.letter_of`."""
    return await (await connection.execute(_DEAD, (limit,))).fetchall()


async def carry_out(
    connection: Connection, change: LetterChange, keys: Sequence[str], now: float
) -> Sequence[tuple[str, Kind]]:
    """Change the letters of these keys. Gives the keys and kinds of those that the change takes."""
    chosen = list(map(short, keys))
    await lock(connection, [whose for (whose,) in await (await connection.execute(_WHOSE, (chosen,))).fetchall()])
    found = await (await connection.execute(_CHOSEN, (chosen,))).fetchall()
    taken = [(key, Kind(kind), *rest) for key, kind, *rest in found if takes(change, rest[1])]
    progress = [progress_after(change, *rest) for _, _, _, *rest in taken]
    values = {"keys": [key for key, *_ in taken], "progress": progress, "due_at": change.due_at, "now": now}
    if change.act is Act.REPLAY:
        await connection.execute(_REPLAY, values)
        whose = [(key, contact) for key, _, contact, *_ in taken]
        await _note(connection, whose, lambda known, key: known.replayed(key, change.due_at), now)
    else:
        await connection.execute(_DISCARD if change.name is None else _HOLD, values)
    return [(key, kind) for key, kind, *_ in taken]


async def take_back(connection: Connection, change: LetterChange, now: float) -> int:
    """Make the letters of the change dead again. Gives their number."""
    await lock(connection, [contact for _, contact, *_ in await _changed(connection, change, now)])
    found = await _changed(connection, change, now, " ORDER BY key FOR UPDATE")
    values = [(key, was.attempts, was.reason, was.died_at, dump_progress(taken_back(was))) for key, _, was, _ in found]
    if values:
        await connection.execute(_TAKE_BACK, [list(column) for column in zip(*values, strict=True)])
        whose = [(key, contact) for key, contact, *_ in found]
        await _note(connection, whose, lambda known, key: known.taken_back(key), now)
    return len(found)


async def standing_of(connection: Connection, change: LetterChange, now: float) -> Standing:
    times = [at for *_, at in await _changed(connection, change, now)]
    back = await (await connection.execute(_BACK, {"name": name_in(change)})).fetchall()
    return standing(times, sum(before(change, stored) is not None for (stored,) in back))


async def _changed(
    connection: Connection, change: LetterChange, now: float, locked: LiteralString = ""
) -> Sequence[tuple[str, str | None, Before, float]]:
    """The letters that may be taken back, with their contacts, what they were, and when they take effect."""
    query = _REPLAYED if change.act is Act.REPLAY else _HELD
    first, last = change.span()
    values = {"first": first, "last": last, "now": now, "name": name_in(change)}
    rows = await (await connection.execute(query + locked, values)).fetchall()
    return [(key, contact, was, at) for key, contact, stored, at in rows if (was := before(change, stored)) is not None]


async def _note(
    connection: Connection,
    whose: Iterable[tuple[str, str | None]],
    after: Callable[[Contact, str], Contact],
    now: float,
) -> None:
    """Write what is known of the contacts of these letters, once each letter has changed it."""
    letters = [(key, contact) for key, contact in whose if contact is not None]
    known = await known_of(connection, (contact for _, contact in letters), now)
    changed = dict(known)
    for key, contact in letters:
        changed[contact] = after(changed[contact], key)
    await keep(connection, known, changed, now)
