"""Operations on the items and contacts of an SQLite store. Every function is one step of a transaction."""

from __future__ import annotations

from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from ringback.exceptions import StoreError
from ringback.privacy.redaction import redact
from ringback.stores.record import dump_contact, dump_progress, load, load_contact, load_progress
from ringback.stores.rows import Row, merged, stored_row, superseded
from ringback.stores.sqlite import schema
from ringback.work.items import Claim, Item, Kind, Progress, State, Stats
from ringback.work.keys import short
from ringback.work.latch import Offer, informed
from ringback.work.pace import Lane

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence

    from ringback.core.outcome import Outcome
    from ringback.stores.clocks import Boot
    from ringback.work.contact import Change, Contact, Step
    from ringback.work.items import Settlement
    from ringback.work.pace import Pace
    from ringback.work.report import Report

T = TypeVar("T")
S = TypeVar("S", str, "str | None")


def row_of(item: Item, now: float) -> Row:
    return stored_row(item, _storable(item.contact), now, apart=True)


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
            _note(connection, row.contact, row.report, row.created_at, late=offer is Offer.DUPLICATE)
    return offers


def _note(connection: sqlite3.Connection, contact: str, report: Report, now: float, *, late: bool) -> None:
    known = known_of(connection, contact, now)
    keep(connection, contact, known, known.noted(report, now, late=late), now)


def _put(connection: sqlite3.Connection, row: Row) -> Offer:
    ends_whole_call = row.event == "CallEnded" and row.ends_call and row.call is not None
    if ends_whole_call and connection.execute(schema.LEG_HAS_ENDED, (row.call, row.key)).fetchone():
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
    for start in range(0, len(rows), schema.MOST):
        some = rows[start : start + schema.MOST]
        verdicts = {row.verdict.id: row.verdict.text for row in some if row.verdict is not None}
        _for_many(connection, schema.KEEP_VERDICTS, list(verdicts.items()))
        ended = {row.ended for row in some if row.ends_call and row.event != "CallEnded" and row.ended != row.key}
        _for_many(connection, schema.YIELD_TO_LEGS, [(key,) for key in ended - {None}], some[0].created_at)
        cursor = _for_many(connection, schema.INSERTS, [_values(row) for row in some])
        if cursor.rowcount == len(some):
            new.update([row.key for row in some])
        else:
            # Nobody else writes during the transaction, so the ids of a statement's rows are consecutive.
            between = ((cursor.lastrowid or 0) - cursor.rowcount, cursor.lastrowid or 0)
            new.update([key for (key,) in connection.execute(schema.KEYS_BETWEEN, between)])
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
    new, kept = dict(zip(schema.COLUMNS, _values(row), strict=True)), _kept(connection, row.key)
    informed_key = short(informed(row.key))
    if _changed(connection, row.key, merged(kept, new)):
        return Offer.MERGED
    if _changed(connection, row.key, superseded(kept, new)) and _inserted(connection, [replace(row, key=informed_key)]):
        return Offer.OPENED
    other = _kept(connection, informed_key)
    if other and _changed(connection, informed_key, merged(other, new)):
        return Offer.MERGED
    _changed(connection, row.key, {"duplicates": kept["duplicates"] + 1})
    return Offer.DUPLICATE


def _kept(connection: sqlite3.Connection, key: str) -> dict[str, Any]:
    row = connection.execute(schema.KEPT, (key,)).fetchone()
    return {} if row is None else dict(row)


def _changed(connection: sqlite3.Connection, key: str, columns: dict[str, Any] | None) -> bool:
    """Write these columns of the row of this key. False if ``columns`` is ``None``."""
    if columns is None:
        return False
    setting = ", ".join([f"{name} = ?" for name in columns])
    connection.execute(f"UPDATE items SET {setting} WHERE key = ?", (*columns.values(), key))
    return True


_values: Callable[[Row], tuple[Any, ...]] = attrgetter(*schema.COLUMNS[:-1], "verdict.id")


def claim(
    connection: sqlite3.Connection,
    kind: Kind,
    limit: int,
    now: float,
    lease: float,
    owner: str,
    boot: Boot,
    *,
    suspects: int = 1,
    room: int | None = None,
) -> tuple[list[Claim], float | None]:
    """Claim up to ``limit`` of what is due, and at most ``suspects`` of the items that a dead worker has left: together
    no more than ``room``, which is the limit by default.
    """
    since_boot = boot.clock()
    until = since_boot + lease
    times = {"now": now, "owner": owner, "boot": f"{boot.id}.", "since_boot": since_boot, "kind": kind.value}
    found = connection.execute(schema.DUE, (kind.value, now, limit)).fetchall()
    most = min(suspects, (limit if room is None else room) - len(found))
    if most > 0:
        left = connection.execute(schema.EXPIRED, {**times, "limit": most}).fetchall()
        found, suspects = found + left, suspects - len(left)
    claims: list[Claim] = []
    for row in found:
        try:
            claims.append(_claim_of(row))
        except StoreError as error:
            connection.execute(schema.BROKEN, {"id": row["id"], "reason": _storable(redact(str(error))), "now": now})
        else:
            connection.execute(schema.CLAIM, {"id": row["id"], "owner": owner, "until": until})
    # The other items of a dead worker wait until the one that is tried has ended.
    (due_at,) = connection.execute(schema.NEXT_DUE, {**times, "suspects": suspects}).fetchone()
    return claims, due_at


def claim_redials(
    connection: sqlite3.Connection,
    pace: Pace,
    limit: int,
    now: float,
    claim: Callable[..., tuple[list[Claim], float | None]],
) -> tuple[list[Claim], float | None]:
    """Claim redials with ``claim``, no more than the lane has room for, which the store's processes share.

    ``claim`` is :func:`claim` without what its calls share. What a dead worker has left counts as in progress already.
    """
    lane = Lane(*connection.execute(schema.LANE).fetchone())
    busy = 0 if pace.in_progress is None else in_progress(connection, now)
    new, in_all = lane.room(pace, busy, now), lane.room(pace, 0, now)
    room = limit if in_all is None else min(limit, in_all)
    limit = limit if new is None else min(limit, new)
    claims, due_at = claim(limit=limit, room=room)
    _keep_lane(connection, lane, after := lane.after(pace, len(claims), now))
    return claims, after.next_look(pace, due_at, now, full=not limit)


def in_progress(connection: sqlite3.Connection, now: float) -> int:
    """How many redials have begun and are not known to have ended."""
    (count,) = connection.execute(schema.IN_PROGRESS, (now,)).fetchone()
    return int(count)


def pause_redials(connection: sqlite3.Connection, until: float) -> None:
    lane = Lane(*connection.execute(schema.LANE).fetchone())
    _keep_lane(connection, lane, lane.paused(until))


def _keep_lane(connection: sqlite3.Connection, before: Lane, after: Lane) -> None:
    if after != before:
        connection.execute(schema.KEEP_LANE, (after.next_at, after.paused_until))


def _claim_of(row: sqlite3.Row) -> Claim:
    """The claim on a row, which the statement has read before the claim changes it."""
    kind, outcome, progress = Kind(row["kind"]), outcome_of(row), load_progress(row["progress"]).without_change()
    item = Item(row["key"], kind, row["due_at"], outcome, row["contact"], row["target"], row["number"])
    crashed = row["state"] == State.RUNNING
    redelivered = crashed or bool(row["interrupted"])
    attempt, put_at = row["attempts"] + 1, row["created_at"]
    return Claim(item, attempt, redelivered=redelivered, crashed=crashed, progress=progress, put_at=put_at)


def outcome_of(row: sqlite3.Row) -> Outcome:
    return load(row["payload"] or b"", row["sibling"], row["verdict_text"])


def settle(connection: sqlite3.Connection, claim: Claim, settlement: Settlement, now: float, owner: str) -> None:
    key, again = claim.item.key, settlement.state is State.READY
    settled = connection.execute(
        schema.SETTLE,
        {
            "key": key,
            "owner": owner,
            "attempt": claim.attempt,
            "state": settlement.state.value,
            "returned": settlement.state is State.DONE,
            "progress": dump_progress(settlement.progress),
            "due_at": settlement.due_at if again else claim.item.due_at,
            "reason": _storable(settlement.reason),
            "finished_at": None if again else now,
            "now": now,
        },
    ).rowcount
    contact = claim.item.contact
    if settled and settlement.call is not None and contact is not None:
        known = known_of(connection, contact, now)
        at = settlement.due_at if again else now
        leg = None if settlement.leg is None else short(settlement.leg)
        keep(connection, contact, known, known.redial(key, settlement.call, at, leg=leg), now)


def known_of(connection: sqlite3.Connection, contact: str, now: float) -> Contact:
    row = connection.execute(schema.CONTACT, (contact,)).fetchone()
    return load_contact(None if row is None else row["state"]).recent(now)


def keep(connection: sqlite3.Connection, contact: str, before: Contact, after: Contact, now: float) -> None:
    if after != before:
        values = contact, dump_contact(after), after.changed_at(now), after.busy_until
        connection.execute(schema.KEEP_CONTACT, values)


def change(connection: sqlite3.Connection, contact: str, step: Change[T], now: float, owner: str) -> Step[T] | None:
    contact = _storable(contact)
    known = known_of(connection, contact, now)
    made = step(known)
    if made.checkpoint is not None and not checkpoint(connection, *made.checkpoint, owner):
        return None
    if made.put is not None:
        _inserted(connection, [row_of(replace(made.put, contact=contact), now)])
    for key in made.cancel:
        connection.execute(schema.CANCEL, (now, key))
    for key in made.hasten:
        connection.execute(schema.DUE_NOW, (now, key))
    keep(connection, contact, known, made.contact, now)
    return made


def checkpoint(connection: sqlite3.Connection, key: str, progress: Progress, owner: str) -> bool:
    parameters = {"key": short(key), "progress": dump_progress(progress), "owner": owner}
    return connection.execute(schema.CHECKPOINT, parameters).rowcount == 1


def stats(connection: sqlite3.Connection, now: float) -> Stats:
    counts = dict(connection.execute(schema.COUNT_STATES).fetchone())
    finished, oldest = counts.pop("finished"), counts.pop("oldest")
    return Stats(
        **counts,
        done=finished - counts["dead"] - counts["canceled"],
        oldest_due=0.0 if oldest is None else max(0.0, now - oldest),
        redials_in_progress=in_progress(connection, now),
        redials_paused=max(0.0, Lane(*connection.execute(schema.LANE).fetchone()).paused_until - now),
    )


def _storable(text: S) -> S:
    """The text with ``?`` for every lone surrogate, which SQLite's UTF-8 cannot hold."""
    return text if text is None else text.encode("utf-8", "replace").decode()
