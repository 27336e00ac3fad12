"""What is done to the items and calls of an SQLite store. Each function is one step of a transaction."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import asdict, replace

from ringback.exceptions import StoreError
from ringback.latch import Offer
from ringback.redial import Planned
from ringback.stores import _sqlite_schema as schema
from ringback.stores import record
from ringback.stores.port import CallRecord, Claim, DeadLetter, Item, Kind, Progress, State, Stats
from ringback.stores.record import dump_progress, load, load_progress, short
from ringback.stores.writer import Later

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Sequence

    from ringback.outcome import Outcome
    from ringback.redial import Plan
    from ringback.stores.port import Decide, Redial, Settlement
    from ringback.stores.record import Row

S = TypeVar("S", str, "str | None")


def row_of(item: Item, now: float) -> Row:
    return record.row(item, _storable(item.contact), now, apart=True)


def put_at_once(
    connection: sqlite3.Connection, puts: Sequence[Sequence[Row]], kept: set[int]
) -> list[list[Offer] | Later]:
    """Put one row of each in a single statement, which is a transaction by itself; later what it cannot do.

    ``kept`` are the verdicts that are known to be in the file for good.
    """
    rows = [put[0] for put in puts if len(put) == 1]
    if not len(rows) == len(puts) <= schema.MOST or not all(map(_plain, rows)):
        return [Later.LATER] * len(puts)
    kept.update(_keep_verdicts(connection, rows, kept))
    last, count = _inserted(connection, rows)
    if count == len(rows):
        return [[Offer.OPENED]] * len(rows)
    new = _new(connection, [(last, count)])
    return [[Offer.OPENED] if _is_new(row, new) else Later.LATER for row in rows]


def put_all(connection: sqlite3.Connection, puts: Sequence[Sequence[Row]], kept: Collection[int]) -> list[list[Offer]]:
    """Put each row of each. Many rows take one statement, for between two each thread of Python waits for the other."""
    together = [row for put in puts for row in put]
    _keep_verdicts(connection, together, kept)
    if not all(map(_plain, together)):
        return [[_put(connection, row) for row in put] for put in puts]
    starts = range(0, len(together), schema.MOST)
    spans = [_inserted(connection, together[start : start + schema.MOST]) for start in starts]
    if sum([count for _, count in spans]) == len(together):
        return [[Offer.OPENED] * len(put) for put in puts]
    new = _new(connection, spans)
    return [[Offer.OPENED if _is_new(row, new) else _put(connection, row) for row in put] for put in puts]


def _keep_verdicts(connection: sqlite3.Connection, rows: Sequence[Row], kept: Collection[int]) -> set[int]:
    """Put the verdicts of these rows that may not be there. Which ones; they are there to stay if this is committed."""
    new = {row.verdict.id: row.verdict for row in rows if row.verdict is not None and row.verdict.id not in kept}
    for each in new.values():
        connection.execute(schema.KEEP_VERDICT, (each.id, each.text))
    return set(new)


def _inserted(connection: sqlite3.Connection, rows: Sequence[Row]) -> tuple[int, int]:
    """The number of the last of these plain rows that was inserted, and how many were."""
    many = next(many for many in schema.INSERTS if many >= len(rows))
    values = [_values(row) for row in rows]
    # The last again where there is a place too many: its key is taken.
    values += values[-1:] * (many - len(values))
    cursor = connection.execute(schema.INSERTS[many], tuple(chain.from_iterable(values)))
    return cursor.lastrowid or 0, cursor.rowcount


def _new(connection: sqlite3.Connection, spans: Iterable[tuple[int, int]]) -> set[str]:
    """The keys of what was inserted. The numbers of a statement's rows follow each other: nobody else writes then."""
    return {key for last, count in spans for (key,) in connection.execute(schema.KEYS_BETWEEN, (last - count, last))}


def _is_new(row: Row, new: set[str]) -> bool:
    """Whether it is the one of its key that was inserted: the first."""
    if row.key not in new:
        return False
    new.remove(row.key)
    return True


def _columns(row: Row) -> dict[str, Any]:
    """By name, as the statements have them."""
    return asdict(row) | {"verdict": None if row.verdict is None else row.verdict.id}


def _put(connection: sqlite3.Connection, row: Row) -> Offer:
    columns = _columns(row)
    if row.ends_call and row.call is not None:
        if row.event == "CallEnded":
            schema.know_calls(connection)
            if connection.execute(schema.TOLD_BY_A_LEG, columns).fetchone():
                return Offer.DUPLICATE
        else:
            connection.execute(schema.YIELD_TO_LEG, columns)
    if connection.execute(schema.INSERT, columns).rowcount:
        return Offer.OPENED
    if connection.execute(schema.MERGE, columns).rowcount:
        return Offer.MERGED
    connection.execute(schema.DUPLICATE, columns)
    return Offer.DUPLICATE


def _plain(row: Row) -> bool:
    """Whether it is an outcome as it comes, for which nothing has to be looked up first."""
    return (
        row.event != "CallEnded"
        and row.kind == "outcome"
        and row.sibling is None
        and row.contact is None
        and row.target is None
        and row.number == 1
        and (row.call is None or row.ended == f"call:{row.call}")
    )


def _values(row: Row) -> tuple[Any, ...]:
    """As the statements of :data:`schema.INSERTS` have them, in types that need no adapter: those are slow to find."""
    return (
        row.key,
        row.due_at,
        int(row.ends_call),
        row.event,
        row.call,
        row.rank,
        bytearray(row.payload),
        row.now,
        row.cause,
        row.category,
        row.retry,
        row.match,
        row.code,
        row.subcode,
        row.verdict and row.verdict.id,
    )


def claim(
    connection: sqlite3.Connection, limit: int, now: float, until: float, owner: str
) -> tuple[list[Claim], float | None]:
    found = connection.execute(schema.DUE, (now, limit)).fetchall()
    if len(found) < limit:
        found += connection.execute(schema.EXPIRED, (now, owner, limit - len(found))).fetchall()
    claims: list[Claim] = []
    for row in found:
        try:
            claims.append(_claim_of(row))
        except StoreError as error:
            connection.execute(schema.BROKEN, {"id": row["id"], "reason": _storable(str(error)), "now": now})
        else:
            connection.execute(schema.CLAIM, {"id": row["id"], "owner": owner, "until": until})
    (due_at,) = connection.execute(schema.NEXT_DUE, (owner,)).fetchone()
    return claims, due_at


def _claim_of(row: sqlite3.Row) -> Claim:
    """The claim on a row as it was before."""
    crashed = row["state"] == State.RUNNING
    return Claim(
        Item(
            key=row["key"],
            kind=Kind(row["kind"]),
            due_at=row["due_at"],
            outcome=_outcome_of(row),
            contact=row["contact"],
            target=row["target"],
            number=row["number"],
        ),
        attempt=row["attempts"] + 1,
        redelivered=crashed or bool(row["interrupted"]),
        crashed=crashed,
        progress=load_progress(row["progress"]),
    )


def _outcome_of(row: sqlite3.Row) -> Outcome:
    return load(row["payload"] or b"", row["sibling"], row["verdict_text"])


def settle(connection: sqlite3.Connection, claim: Claim, settlement: Settlement, now: float, owner: str) -> None:
    key, again = claim.item.key, settlement.state is State.READY
    written = connection.execute(
        schema.SETTLE,
        {
            "key": key,
            "owner": owner,
            "attempt": claim.attempt,
            "state": settlement.state.value,
            "progress": dump_progress(settlement.progress),
            "due_at": settlement.due_at if again else claim.item.due_at,
            "reason": _storable(settlement.reason),
            "finished_at": None if again else now,
        },
    ).rowcount
    if written and settlement.leg is not None:
        # The call's end may have been faster than its function's return, and was counted by itself.
        connection.execute(schema.FORGET_LEG, (short(f"leg:{settlement.leg}"),))
        connection.execute(schema.BIND_LEG, {"key": key, "leg": short(settlement.leg)})


def _note(connection: sqlite3.Connection, contact: str, key: str, leg: str | None, now: float) -> None:
    """Count the call that has ended, unless it is one that a redial has placed."""
    call = {
        "key": short(f"leg:{leg or key}"),
        "contact": contact,
        "at": now,
        "leg": None if leg is None else short(leg),
    }
    if leg is not None:
        if connection.execute(schema.CALL_OF_LEG, call).fetchone():
            return
        if connection.execute(schema.ADOPT_LEG, call).rowcount:
            return
    connection.execute(schema.NOTE_CALL, call)


def plan(connection: sqlite3.Connection, redial: Redial, decide: Decide, now: float) -> Plan | None:
    contact = _storable(redial.contact)
    row = row_of(redial.item, now)
    _note(connection, contact, row.key, redial.leg, now)
    if connection.execute(schema.KNOWN, (row.key,)).fetchone():
        return None
    if connection.execute(schema.TO_COME, (contact,)).fetchone():
        return None
    decided = decide([CallRecord(key, at) for key, at in connection.execute(schema.CALLS, (contact,))])
    if isinstance(decided, Planned):
        planned = replace(row, due_at=decided.at, number=decided.number, contact=contact)
        _keep_verdicts(connection, [planned], ())
        connection.execute(schema.INSERT, _columns(planned))
        call = {"key": row.key, "contact": contact, "at": decided.at, "leg": None}
        connection.execute(schema.NOTE_CALL, call)
    return decided


def cancel(connection: sqlite3.Connection, contact: str, leg: str | None, now: float) -> int:
    contact = _storable(contact)
    if leg is not None:
        _note(connection, contact, leg, leg, now)
    waiting = connection.execute(schema.TO_COME, (contact,)).fetchall()
    for key, attempts in waiting:
        connection.execute(schema.CANCEL, (now, key))
        if attempts == 0:
            # Begun, it may have been a call, and counts as one.
            connection.execute(schema.FORGET_LEG, (key,))
    return len(waiting)


def replay(connection: sqlite3.Connection, key: str, now: float) -> bool:
    row = connection.execute(schema.DEAD_PROGRESS, (key,)).fetchone()
    if row is None:
        return False
    progress = load_progress(row["progress"]).replayed()
    connection.execute(schema.REPLAY, {"key": key, "now": now, "progress": dump_progress(progress)})
    return True


def stats(connection: sqlite3.Connection, now: float) -> Stats:
    counts = dict(connection.execute(schema.COUNT_STATES).fetchone())
    finished, oldest = counts.pop("finished"), counts.pop("oldest")
    return Stats(
        **counts,
        done=finished - counts["dead"] - counts["canceled"],
        oldest_due=0.0 if oldest is None else max(0.0, now - oldest),
    )


def letter(row: sqlite3.Row) -> DeadLetter:
    try:
        outcome, progress = _outcome_of(row), load_progress(row["progress"])
    except StoreError:
        outcome, progress = None, Progress()
    return DeadLetter(
        key=row["key"],
        kind=Kind(row["kind"]),
        outcome=outcome,
        attempts=row["attempts"],
        reason=row["reason"] or "",
        died_at=row["finished_at"],
        progress=progress,
        target=row["target"],
    )


def _storable(text: S) -> S:
    """The text without what no file can hold: lone surrogates."""
    return text if text is None else text.encode("utf-8", "replace").decode()
