"""The records of calls in an SQLite store: what events told beside the items, and all that there is of one call.

Every function is one step of a transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringback.stores.call_matches import (
    MOST,
    Match,
    contact_in,
    ends_of,
    keys_of,
    match_of_item,
    matches_in,
    newest,
    search_for,
)
from ringback.stores.history_rows import ITEM, condition, contact_of, item_of, page
from ringback.stores.sqlite.schema import CONTACT, NOTE, WHOLE
from ringback.stores.stored_told import note_of, told_in
from ringback.work.call_detail import StoredItem, Traces
from ringback.work.contact import Contact
from ringback.work.history import CallFilter, Found
from ringback.work.keys import numbered, short

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from ringback.work.told import Told

_MATCHES = "SELECT key, call, created_at FROM items WHERE kind = 'outcome' AND (key IN ({}) OR call = ? OR context = ?)"
_SEARCH = "SELECT key, call, created_at FROM items WHERE instr(told, :event) OR instr(told, :server)"
_NOTES = "SELECT at, told FROM notes WHERE leg = ? OR call = ? ORDER BY id"
_SEARCH_NOTES = """
    SELECT at, told FROM notes
    WHERE at >= :since
        AND (instr(told, :name) AND (instr(told, :event) OR instr(told, :context)) OR instr(told, :server))
    ORDER BY id
"""
_ITEMS = f"SELECT {ITEM}, text FROM {WHOLE} WHERE kind = 'outcome' AND (key IN ({{}}) OR call = ?) ORDER BY items.id"
_COUNT = "SELECT count(*) FROM items WHERE {}"
_NEWEST = f"""
    SELECT {ITEM}, text FROM {WHOLE} WHERE items.id IN (
        SELECT id FROM items WHERE {{}} ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?
    ) ORDER BY created_at DESC, items.id DESC
"""
_OLDEST = _NEWEST.replace("DESC", "ASC")


def note(connection: sqlite3.Connection, told: Iterable[Told]) -> None:
    notes = map(note_of, told)
    connection.executemany(NOTE, [(each.at, each.leg, each.call, each.told) for each in notes])


def call(connection: sqlite3.Connection, name: str) -> Traces | None:
    """All there is of the call with this id; of several calls, of that which was told of last."""
    match = newest(_matches(connection, name))
    if match is None:
        return None
    told = tuple(each for each in _notes(connection, match.leg, match.call) if match.has(each))
    keys = match.keys(told)[:MOST]
    items = [item_of(*row) for row in connection.execute(_ITEMS.format(_marks(keys)), (*keys, match.call))]
    contact = contact_in(items)
    row = None if contact is None else connection.execute(CONTACT, (contact,)).fetchone()
    known = Contact() if row is None else contact_of("", row["state"])[1]
    return Traces(told, tuple(items), contact, known)


def calls(connection: sqlite3.Connection, chosen: CallFilter, limit: int, offset: int, *, oldest_first: bool) -> Found:
    ends = None if chosen.name is None else ends_of(_matches(connection, chosen.name))
    where, values = condition(chosen, ends, "?")
    (total,) = connection.execute(_COUNT.format(where), values).fetchone()
    query = _OLDEST if oldest_first else _NEWEST
    items = [item_of(*row) for row in connection.execute(query.format(where), (*values, limit, offset))]
    return Found(page(items, _notes_of(connection, items)), total)


def _matches(connection: sqlite3.Connection, name: str) -> list[Match]:
    """The calls with this id: by an index if it is that of a leg, a call or an operation context, else by a search."""
    keys, kept = keys_of(name), short(name)
    rows = connection.execute(_MATCHES.format(_marks(keys)), (*keys, kept, kept)).fetchall()
    found = [match_of_item(*row) for row in rows]
    found += matches_in(_notes(connection, kept, kept), name)
    search = search_for(name, found)
    if search is None:
        return found
    if not found:
        found = [match_of_item(*row) for row in connection.execute(_SEARCH, search)]
    return [*found, *matches_in(told_in(connection.execute(_SEARCH_NOTES, search)), name)]


def _notes(connection: sqlite3.Connection, leg: str | None, call: str | None) -> Iterator[Told]:
    """What was told of this leg and of this call, and of others with the same numbers, which the caller leaves out."""
    numbers = [None if name is None else numbered(name) for name in (leg, call)]
    return told_in(connection.execute(_NOTES, numbers))


def _notes_of(connection: sqlite3.Connection, items: Sequence[StoredItem]) -> Iterator[Told]:
    for column, names in (("leg", [item.leg for item in items]), ("call", [item.call for item in items])):
        numbers: list[Any] = [numbered(name) for name in dict.fromkeys(names) if name is not None]
        for start in range(0, len(numbers), MOST):
            some = numbers[start : start + MOST]
            # What names a leg is found by its leg.
            other = "AND leg IS NULL" if column == "call" else ""
            query = f"SELECT at, told FROM notes WHERE {column} IN ({_marks(some)}) {other} ORDER BY id"
            yield from told_in(connection.execute(query, some))


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
