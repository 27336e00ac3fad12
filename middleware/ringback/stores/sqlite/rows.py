"""How items come into an SQLite store: by puts, and by steps of contacts. Every function is a step of a transaction."""

from __future__ import annotations

from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from ringback.stores.rows import COLUMNS, Row, merged, stored_row, superseded
from ringback.stores.sqlite.claims import checkpoint
from ringback.stores.sqlite.redials import keep, known_of
from ringback.stores.sqlite.schema import storable
from ringback.work.keys import short
from ringback.work.latch import Offer, informed

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence

    from ringback.work.contact import Change, Step
    from ringback.work.items import Item

T = TypeVar("T")

_COLUMNS = (*COLUMNS, "verdict")
"""The columns that a put writes, in the order of :data:`_INSERTS`."""

_SIZES = (1, 2, 4, 8, 16, 32)
_MOST = max(_SIZES)
"""Rows of one statement. Before version 3.32 SQLite takes 999 parameters at most: https://www.sqlite.org/limits.html"""


def _for_sizes(statement: str, one: str) -> dict[int, str]:
    """The statement for as many rows as each key says. SQLite prepares a statement once, so there are few sizes."""
    return {many: statement.format(", ".join([one] * many)) for many in _SIZES}


_INSERTS = _for_sizes(
    f"INSERT INTO items ({', '.join(_COLUMNS)}, state) VALUES {{}} ON CONFLICT (key) DO NOTHING",
    f"({', '.join('?' * len(_COLUMNS))}, 'ready')",
)
_KEEP_VERDICTS = _for_sizes("INSERT INTO verdicts (id, text) VALUES {} ON CONFLICT (id) DO NOTHING", "(?, ?)")
_KEYS_BETWEEN = "SELECT key FROM items WHERE id > ? AND id <= ?"
# A leg's own end says all that Event Grid's CallEnded of the whole call says. Once the leg's end has come, no hook is
# called for the CallEnded; if hooks were called before, the history counts the leg's end and not the CallEnded.
_LEG_HAS_ENDED = "SELECT 1 FROM items WHERE call = ? AND key <> ? AND event <> 'CallEnded' AND ends_call LIMIT 1"
_YIELD_TO_LEGS = _for_sizes(
    """
    UPDATE items SET
        state = CASE WHEN state = 'ready' AND attempts = 0 AND progress IS NULL THEN 'canceled' ELSE state END,
        finished_at = CASE WHEN state = 'ready' AND attempts = 0 AND progress IS NULL THEN ? ELSE finished_at END,
        cause = NULL, category = NULL, retry = NULL, match = NULL, acts = NULL, code = NULL, subcode = NULL
    WHERE key IN ({}) AND event = 'CallEnded' AND sibling IS NULL
      AND (cause IS NOT NULL OR state = 'ready' AND attempts = 0 AND progress IS NULL)
    """,
    "?",
)
_KEPT = "SELECT * FROM items WHERE key = ?"
# A dead letter that a person replays has a progress, and waits for as long as the person may take the replay back.
_HASTEN = """
    UPDATE items SET due_at = :now
    WHERE key = :key AND state = 'ready' AND attempts = 0 AND progress IS NULL AND due_at > :now
"""
_CANCEL = "UPDATE items SET state = 'canceled', finished_at = ? WHERE key = ? AND state = 'ready'"
_DUE_NOW = "UPDATE items SET due_at = min(due_at, ?) WHERE key = ? AND state = 'ready'"


def row_of(item: Item, now: float) -> Row:
    return stored_row(item, storable(item.contact), now, apart=True)


def put(connection: sqlite3.Connection, puts: Sequence[Sequence[Row]]) -> list[list[Offer]]:
    """Put the rows of several puts. Gives the offer of every row, put by put.

    Many rows take one statement: between two statements the thread may have to wait for Python's lock.
    """
    rows = [row for together in puts for row in together]
    if any(row.event == "CallEnded" or row.key == row.ended for row in rows):
        # A row of a whole call depends on the rows before it.
        offers = [[_put(connection, row) for row in together] for together in puts]
    else:
        new = _inserted(connection, rows)
        offers = [[_opened(row, new) or _put_again(connection, row) for row in together] for together in puts]
    for row, offer in zip(rows, chain.from_iterable(offers), strict=True):
        if row.report is not None and row.contact is not None:
            now, known = row.created_at, known_of(connection, row.contact, row.created_at)
            noted = known.noted(row.report, now, late=offer is Offer.DUPLICATE)
            keep(connection, row.contact, known, noted, now)
    return offers


def _put(connection: sqlite3.Connection, row: Row) -> Offer:
    ends_whole_call = row.event == "CallEnded" and row.ends_call and row.call is not None
    if ends_whole_call and connection.execute(_LEG_HAS_ENDED, (row.call, row.key)).fetchone():
        return Offer.DUPLICATE
    return _opened(row, _inserted(connection, [row])) or _put_again(connection, row)


def _opened(row: Row, new: set[str]) -> Offer | None:
    """The offer for the first row of a key in ``new``, which loses the key; ``None`` for every other row."""
    if row.key not in new:
        return None
    new.remove(row.key)
    return Offer.OPENED


def _inserted(connection: sqlite3.Connection, rows: Sequence[Row]) -> set[str]:
    """Insert the rows whose keys no row has yet, and cancel the whole calls' ends for which legs' ends have come.

    Gives the keys of the rows that were inserted.
    """
    new = set[str]()
    for start in range(0, len(rows), _MOST):
        some = rows[start : start + _MOST]
        verdicts = {row.verdict.id: row.verdict.text for row in some if row.verdict is not None}
        _for_many(connection, _KEEP_VERDICTS, list(verdicts.items()))
        ended = {row.ended for row in some if row.ends_call and row.event != "CallEnded" and row.ended != row.key}
        _for_many(connection, _YIELD_TO_LEGS, [(key,) for key in ended - {None}], some[0].created_at)
        cursor = _for_many(connection, _INSERTS, [_values(row) for row in some])
        if cursor.rowcount == len(some):
            new.update([row.key for row in some])
        else:
            # Nobody else writes during the transaction, so the ids of a statement's rows are consecutive.
            between = ((cursor.lastrowid or 0) - cursor.rowcount, cursor.lastrowid or 0)
            new.update([key for (key,) in connection.execute(_KEYS_BETWEEN, between)])
    return new


def _for_many(
    connection: sqlite3.Connection, statements: Mapping[int, str], values: Sequence[tuple[Any, ...]], *first: float
) -> sqlite3.Cursor:
    """Execute the statement with room for these values; the last value fills the room, for a repeated value is idle."""
    if not values:
        return connection.cursor()
    many = next(many for many in statements if many >= len(values))
    padded = [*values] + [values[-1]] * (many - len(values))
    return connection.execute(statements[many], (*first, *chain.from_iterable(padded)))


def _put_again(connection: sqlite3.Connection, row: Row) -> Offer:
    """Put a row whose key another row has. :mod:`ringback.work.latch` says which row gets another key."""
    new, kept = dict(zip(_COLUMNS, _values(row), strict=True)), _kept(connection, row.key)
    informed_key = short(informed(row.key))
    if _changed(connection, row.key, merged(kept, new)):
        return Offer.MERGED
    if _changed(connection, row.key, superseded(kept, new)) and _inserted(connection, [replace(row, key=informed_key)]):
        return Offer.OPENED
    other = _kept(connection, informed_key)
    if other and _changed(connection, informed_key, merged(other, new)):
        return Offer.MERGED
    counting = other or kept
    _changed(connection, counting["key"], {"duplicates": counting["duplicates"] + 1})
    return Offer.DUPLICATE


def _kept(connection: sqlite3.Connection, key: str) -> dict[str, Any]:
    row = connection.execute(_KEPT, (key,)).fetchone()
    return {} if row is None else dict(row)


def _changed(connection: sqlite3.Connection, key: str, columns: dict[str, Any] | None) -> bool:
    """Write these columns of the row of this key. False if ``columns`` is ``None``."""
    if columns is None:
        return False
    setting = ", ".join([f"{name} = ?" for name in columns])
    connection.execute(f"UPDATE items SET {setting} WHERE key = ?", (*columns.values(), key))
    return True


_values: Callable[[Row], tuple[Any, ...]] = attrgetter(*_COLUMNS[:-1], "verdict.id")


def hasten(connection: sqlite3.Connection, keys: Sequence[str], now: float) -> None:
    """Make items due that wait for their first claim."""
    connection.executemany(_HASTEN, [{"key": short(key), "now": now} for key in keys])


def change(connection: sqlite3.Connection, contact: str, step: Change[T], now: float, owner: str) -> Step[T] | None:
    contact = storable(contact)
    known = known_of(connection, contact, now)
    made = step(known)
    if made.checkpoint is not None and not checkpoint(connection, *made.checkpoint, owner):
        return None
    if made.put is not None:
        _inserted(connection, [row_of(replace(made.put, contact=contact), now)])
    for key in made.cancel:
        connection.execute(_CANCEL, (now, key))
    for key in made.hasten:
        connection.execute(_DUE_NOW, (now, key))
    keep(connection, contact, known, made.contact, now)
    return made
