"""The records of calls in a PostgreSQL store: what events told beside the items, and all that there is of one call.

Every function is one step of a transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from ringback.stores.call_matches import (
    contact_in,
    ends_of,
    keys_of,
    match_of_item,
    matches_in,
    newest,
    search_for,
)
from ringback.stores.history_rows import ITEM, condition, contact_of, item_of, page
from ringback.stores.stored_told import note_of, told_in
from ringback.work.call_detail import Traces
from ringback.work.contact import Contact
from ringback.work.history import CallFilter, Found
from ringback.work.keys import numbered, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ringback.stores.call_matches import Match
    from ringback.stores.postgres.database import Connection
    from ringback.work.told import Told

_NOTE = "INSERT INTO ringback_notes (at, leg, call, told) VALUES (%s, %s, %s, %s)"
_MATCHES = """
    SELECT key, call, created_at FROM ringback_items
    WHERE kind = 'outcome' AND (key = ANY(%s) OR call = %s AND ends_call OR context = %s)
"""
_SEARCH = """
    SELECT key, call, created_at FROM ringback_items
    WHERE position(%(event)s::bytea IN told) > 0 OR position(%(server)s::bytea IN told) > 0
"""
_NOTES = "SELECT at, told FROM ringback_notes WHERE leg = ANY(%s) OR call = ANY(%s) ORDER BY id"
_SEARCH_NOTES = """
    SELECT at, told FROM ringback_notes
    WHERE at >= %(since)s AND (
        position(%(name)s::bytea IN told) > 0
            AND (position(%(event)s::bytea IN told) > 0 OR position(%(context)s::bytea IN told) > 0)
        OR position(%(server)s::bytea IN told) > 0
    )
    ORDER BY id
"""
_ITEMS: LiteralString = f"""
    SELECT {ITEM} FROM ringback_items WHERE kind = 'outcome' AND (key = ANY(%s) OR call = %s AND ends_call)
    ORDER BY created_at, key
"""
FORGET_NOTES: LiteralString = """
    DELETE FROM ringback_notes WHERE id IN (
        SELECT id FROM (SELECT id, at FROM ringback_notes ORDER BY id LIMIT 1000) AS oldest WHERE at < %(before)s
    )
"""
_KNOWN = "SELECT state FROM ringback_contacts WHERE contact = %s"
_COUNT = "SELECT count(*) FROM ringback_items WHERE {}"
_NEWEST = f"SELECT {ITEM} FROM ringback_items WHERE {{}} ORDER BY created_at DESC, key LIMIT %s OFFSET %s"
_OLDEST = _NEWEST.replace("DESC, key", "ASC, key DESC")


async def note(connection: Connection, told: Iterable[Told]) -> None:
    notes = map(note_of, told)
    async with connection.cursor() as cursor:
        await cursor.executemany(_NOTE, [(each.at, each.leg, each.call, each.told) for each in notes])


async def call(connection: Connection, name: str) -> Traces | None:
    """All there is of the call with this id; of several calls, of that which was told of last."""
    match = newest(await _matches(connection, name))
    if match is None:
        return None
    told = tuple(each for each in await _notes(connection, [match.leg], [match.call]) if match.has(each))
    items = [item_of(*row) for row in await _rows(connection, _ITEMS, (match.keys(told), match.call))]
    contact = contact_in(items)
    rows = [] if contact is None else await _rows(connection, _KNOWN, (contact,))
    return Traces(told, tuple(items), contact, contact_of("", rows[0][0])[1] if rows else Contact())


async def calls(connection: Connection, chosen: CallFilter, limit: int, offset: int, *, oldest_first: bool) -> Found:
    ends = None if chosen.name is None else ends_of(await _matches(connection, chosen.name))
    where, values = condition(chosen, ends, "%s")
    [(total,)] = await _rows(connection, _COUNT.format(where).encode(), values)
    query = _OLDEST if oldest_first else _NEWEST
    rows = await _rows(connection, query.format(where).encode(), [*values, limit, offset])
    items = [item_of(*row) for row in rows]
    told = await _notes(connection, [item.leg for item in items], [item.call for item in items])
    return Found(page(items, told), total)


async def _matches(connection: Connection, name: str) -> list[Match]:
    """The calls with this id: by an index if it is that of a leg, a call or an operation context, else by a search."""
    kept = short(name)
    found = [match_of_item(*row) for row in await _rows(connection, _MATCHES, (keys_of(name), kept, kept))]
    found += matches_in(await _notes(connection, [kept], [kept]), name)
    search = search_for(name, found)
    if search is None:
        return found
    if not found:
        found = [match_of_item(*row) for row in await _rows(connection, _SEARCH, search)]
    return [*found, *matches_in(told_in(await _rows(connection, _SEARCH_NOTES, search)), name)]


async def _notes(connection: Connection, legs: Iterable[str | None], calls: Iterable[str | None]) -> list[Told]:
    """What was told of these legs and calls, and of others with the same numbers, which the caller leaves out."""
    numbers = [[numbered(name) for name in names if name is not None] for names in (legs, calls)]
    return list(told_in(await _rows(connection, _NOTES, numbers)))


async def _rows(
    connection: Connection, query: LiteralString | bytes, values: Sequence[Any] | Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query, values)).fetchall()
