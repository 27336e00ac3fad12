"""How items come into a PostgreSQL store, by puts and steps of contacts. Every function is a step of a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import asdict
from psycopg.rows import dict_row

from ringback.stores.postgres.claims import checkpoint
from ringback.stores.postgres.database import Connection, changed
from ringback.stores.postgres.redials import keep, known_of
from ringback.stores.postgres.schema import storable
from ringback.stores.rows import COLUMNS, merged, stored_row, superseded
from ringback.work.keys import short
from ringback.work.latch import Offer, informed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ringback.work.contact import Change, Contact, Step
    from ringback.work.items import Item

T = TypeVar("T")

_READY = "SELECT count(*) FROM (SELECT FROM ringback_items WHERE state = 'ready' LIMIT %s) AS waiting"
_LOCK = """
    SELECT pg_advisory_xact_lock(id) FROM (
        SELECT DISTINCT hashtextextended(name, 1) AS id FROM unnest(%s::text[]) AS name ORDER BY id
    ) AS ordered
"""
_LEG_HAS_ENDED = """
    SELECT 1 FROM ringback_items
    WHERE call = %(call)s AND key <> %(key)s AND ends_call AND event <> 'CallEnded' LIMIT 1
"""
# A leg's own end says all that Event Grid's CallEnded of the whole call says. Once the leg's end has come, no hook is
# called for the CallEnded; if hooks were called before, the history counts the leg's end and not the CallEnded.
_YIELD_TO_LEG = """
    UPDATE ringback_items SET
        state = CASE WHEN state = 'ready' AND attempts = 0 AND progress IS NULL THEN 'canceled' ELSE state END,
        finished_at = CASE
            WHEN state = 'ready' AND attempts = 0 AND progress IS NULL THEN %(created_at)s ELSE finished_at END,
        cause = NULL, category = NULL, retry = NULL, match = NULL, acts = NULL, code = NULL, subcode = NULL
    WHERE key = %(ended)s AND key <> %(key)s AND event = 'CallEnded' AND sibling IS NULL
      AND (cause IS NOT NULL OR state = 'ready' AND attempts = 0 AND progress IS NULL)
"""
_INSERT = f"""
    INSERT INTO ringback_items ({", ".join(COLUMNS)}, state)
    VALUES ({", ".join(f"%({name})s" for name in COLUMNS)}, 'ready') ON CONFLICT (key) DO NOTHING
""".encode()
_KEPT = "SELECT * FROM ringback_items WHERE key = %s FOR UPDATE"
# A dead letter that a person replays has a progress, and waits for as long as the person may take the replay back.
_HASTEN = """
    UPDATE ringback_items SET due_at = %(now)s
    WHERE key = ANY(%(keys)s) AND state = 'ready' AND attempts = 0 AND progress IS NULL AND due_at > %(now)s
    RETURNING key
"""
_CANCEL = "UPDATE ringback_items SET state = 'canceled', finished_at = %s WHERE key = ANY(%s) AND state = 'ready'"
_DUE_NOW = "UPDATE ringback_items SET due_at = least(due_at, %s) WHERE key = ANY(%s) AND state = 'ready'"


async def count_ready(connection: Connection, limit: int) -> int:
    row = await (await connection.execute(_READY, (limit,))).fetchone()
    return row[0] if row else 0


def row_of(item: Item, now: float) -> dict[str, Any]:
    """The columns of the item's row; ``now`` in seconds since the epoch."""
    return asdict(stored_row(item, storable(item.contact), now))


async def lock_for_put(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Lock calls and keys, in one order for all puts: the puts of a call's end and of a leg's must not miss another."""
    names = {row["ended"] for row in rows if row["ends_call"] and row["ended"] is not None}
    if len(rows) > 1:
        names.update(row["key"] for row in rows)
    if names:
        await connection.execute(_LOCK, (sorted(names),))


async def put(connection: Connection, row: dict[str, Any]) -> tuple[Offer, str]:
    """Put a row. Gives the offer and the row's key, for :mod:`ringback.work.latch` gives some rows another key."""
    key = row["key"]
    if row["ends_call"] and row["call"] is not None:
        if row["event"] == "CallEnded":
            if await (await connection.execute(_LEG_HAS_ENDED, row)).fetchone() is not None:
                return Offer.DUPLICATE, key
        else:
            await connection.execute(_YIELD_TO_LEG, row)
    if await changed(connection, _INSERT, row):
        return Offer.OPENED, key
    kept = await _kept(connection, key)
    if not kept:
        # A purge has deleted the row in between.
        return await put(connection, row)
    if await _written(connection, kept, merged(kept, row)):
        return Offer.MERGED, key
    informed_key = short(informed(key))
    informed_row = row | {"key": informed_key}
    if await _written(connection, kept, superseded(kept, row)) and await changed(connection, _INSERT, informed_row):
        return Offer.OPENED, informed_key
    other = await _kept(connection, informed_key)
    if other and await _written(connection, other, merged(other, row)):
        return Offer.MERGED, informed_key
    counting = other or kept
    await _written(connection, counting, {"duplicates": counting["duplicates"] + 1})
    return Offer.DUPLICATE, key


async def _kept(connection: Connection, key: str) -> dict[str, Any]:
    """The columns of the row of this key, which the transaction locks; empty if there is no such row."""
    return await (await connection.cursor(row_factory=dict_row).execute(_KEPT, (key,))).fetchone() or {}


async def _written(connection: Connection, kept: dict[str, Any], columns: dict[str, Any] | None) -> bool:
    """Write these columns of the row. False if ``columns`` is ``None``."""
    if columns is None:
        return False
    setting = ", ".join(f"{name} = %({name})s" for name in columns)
    query = f"UPDATE ringback_items SET {setting} WHERE key = %(key)s"
    await connection.execute(query.encode(), {**columns, "key": kept["key"]})
    return True


async def told_of(connection: Connection, rows: Iterable[dict[str, Any]], now: float) -> dict[str, Contact]:
    """What is known of the contacts that the rows tell something of. A transaction asks before it locks any row."""
    return await known_of(connection, (row["contact"] for row in rows if row["report"]), now)


async def note(
    connection: Connection,
    known: dict[str, Contact],
    rows: Iterable[dict[str, Any]],
    offers: Iterable[Offer],
    now: float,
) -> None:
    after = dict(known)
    for row, offer in zip(rows, offers, strict=True):
        if row["report"]:
            contact = row["contact"]
            after[contact] = after[contact].noted(row["report"], now, late=offer is Offer.DUPLICATE)
    await keep(connection, known, after, now)


async def hasten(connection: Connection, keys: Sequence[str], now: float) -> Sequence[str]:
    """Make items due that wait for their first claim. Gives their keys."""
    return [key for (key,) in await (await connection.execute(_HASTEN, {"keys": keys, "now": now})).fetchall()]


async def change(
    connection: Connection, contact: str, step: Change[T], now: float, owner_of: Callable[[str], str | None]
) -> Step[T] | None:
    contact = storable(contact) or ""
    known = await known_of(connection, (contact,), now)
    made = step(known[contact])
    if made.checkpoint is not None:
        key, progress = made.checkpoint
        owner = owner_of(short(key))
        if owner is None or not await checkpoint(connection, short(key), owner, progress):
            return None
    if made.put is not None:
        await connection.execute(_INSERT, row_of(made.put, now) | {"contact": contact})
    if made.cancel:
        await connection.execute(_CANCEL, (now, list(made.cancel)))
    if made.hasten:
        await connection.execute(_DUE_NOW, (now, list(made.hasten)))
    await keep(connection, known, {contact: made.contact}, now)
    return made
