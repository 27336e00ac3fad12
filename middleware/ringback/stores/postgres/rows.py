"""Operations on the items and contacts of a PostgreSQL store. Every function is one step of a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import asdict
from psycopg.rows import dict_row

from ringback.exceptions import StoreError
from ringback.privacy.redaction import redact
from ringback.stores.clocks import SLACK
from ringback.stores.record import dump_contact, dump_progress, load, load_contact, load_progress
from ringback.stores.rows import merged, stored_row, superseded
from ringback.work.items import Claim, Item, Kind, Progress, State, Stats
from ringback.work.keys import short
from ringback.work.latch import Offer, informed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import LiteralString

    from ringback.core.outcome import Outcome
    from ringback.stores.postgres.database import Connection
    from ringback.work.contact import Change, Contact, Step
    from ringback.work.items import Settlement

T = TypeVar("T")

_ITEM = "key, kind, due_at, attempts, interrupted, contact, target, number, payload, sibling, progress, created_at"

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
        state = CASE WHEN state = 'ready' AND attempts = 0 THEN 'canceled' ELSE state END,
        finished_at = CASE WHEN state = 'ready' AND attempts = 0 THEN %(created_at)s ELSE finished_at END,
        cause = NULL, category = NULL, retry = NULL, match = NULL, acts = NULL, code = NULL, subcode = NULL
    WHERE key = %(ended)s AND key <> %(key)s AND event = 'CallEnded' AND sibling IS NULL
      AND (cause IS NOT NULL OR state = 'ready' AND attempts = 0)
"""
_INSERT = """
    INSERT INTO ringback_items (key, kind, state, due_at, ends_call, event, call, contact, target, number, rank,
                                payload, sibling, created_at, cause, category, retry, match, acts, code, subcode, told,
                                context)
    VALUES (%(key)s, %(kind)s, 'ready', %(due_at)s, %(ends_call)s, %(event)s, %(call)s, %(contact)s, %(target)s,
            %(number)s, %(rank)s, %(payload)s, %(sibling)s, %(created_at)s, %(cause)s, %(category)s, %(retry)s,
            %(match)s, %(acts)s, %(code)s, %(subcode)s, %(told)s, %(context)s)
    ON CONFLICT (key) DO NOTHING
"""
_KEPT = "SELECT * FROM ringback_items WHERE key = %s FOR UPDATE"

# The same owner may claim an item again with the same result: PostgreSQL's first answer may have been lost.
_CLAIM = f"""
    UPDATE ringback_items SET state = 'running', owner = %(owner)s, worker = %(worker)s,
        attempts = attempts + CASE WHEN state = 'ready' THEN 1 ELSE 0 END
    WHERE key = %(key)s AND kind = %(kind)s AND (state = 'running' AND owner = %(owner)s
        OR state = 'ready' AND due_at <= %(now)s AND (interrupted < 2 OR %(suspects)s))
    RETURNING {_ITEM}
"""
_HASTEN = """
    UPDATE ringback_items SET due_at = %(now)s
    WHERE key = ANY(%(keys)s) AND state = 'ready' AND attempts = 0 AND due_at > %(now)s
    RETURNING key
"""
# What waits for hooks since before the wall clock was set back waits as long as it would have. A redial waits for a
# time of the day.
_SET_RIGHT = """
    UPDATE ringback_items SET
        due_at = %(now)s + due_at - coalesce(waits_since, created_at), waits_since = %(now)s,
        created_at = least(created_at, %(now)s)
    WHERE state = 'ready' AND due_at > %(soon)s AND kind = 'outcome'
      AND coalesce(waits_since, created_at) > %(soon)s
    RETURNING key, due_at
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
# One transaction at a time changes what is known of a contact, and its redials.
_LOCK_CONTACT = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_CONTACT = "SELECT state FROM ringback_contacts WHERE contact = %s"
_KEEP_CONTACT = """
    INSERT INTO ringback_contacts (contact, state, changed_at, busy_until) VALUES (%s, %s, %s, %s)
    ON CONFLICT (contact) DO UPDATE
        SET state = EXCLUDED.state, changed_at = EXCLUDED.changed_at, busy_until = EXCLUDED.busy_until
"""
_CANCEL = "UPDATE ringback_items SET state = 'canceled', finished_at = %s WHERE key = ANY(%s) AND state = 'ready'"

_DUE_NOW = "UPDATE ringback_items SET due_at = least(due_at, %s) WHERE key = ANY(%s) AND state = 'ready'"

_STATS = """
    SELECT state, count(*), count(*) FILTER (WHERE kind = 'redial'), min(due_at) FROM ringback_items GROUP BY state
"""
_OLD = "SELECT key FROM ringback_items WHERE finished_at < %(before)s AND state"
_SOME = "LIMIT 1000 FOR UPDATE SKIP LOCKED"
FORGET_PAYLOADS: LiteralString = f"""
    UPDATE ringback_items SET payload = NULL, sibling = NULL
    WHERE key IN ({_OLD} IN ('done', 'canceled') AND payload IS NOT NULL {_SOME})
"""
FORGET_KEYS: LiteralString = f"DELETE FROM ringback_items WHERE key IN ({_OLD} IN ('done', 'canceled') {_SOME})"
FORGET_DEAD: LiteralString = f"DELETE FROM ringback_items WHERE key IN ({_OLD} = 'dead' {_SOME})"
FORGET_CONTACTS: LiteralString = """
    DELETE FROM ringback_contacts WHERE contact IN (
        SELECT contact FROM ringback_contacts WHERE changed_at < %(before)s LIMIT 1000 FOR UPDATE SKIP LOCKED
    )
"""


def row_of(item: Item, now: float) -> dict[str, Any]:
    """The columns of the item's row; ``now`` in seconds since the epoch."""
    return asdict(stored_row(item, storable(item.contact), now))


def storable(text: str | None) -> str | None:
    """The text with ``?`` for lone surrogates and U+FFFD for NUL, which PostgreSQL's ``text`` cannot hold."""
    return text and text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


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
            if await _found(connection, _LEG_HAS_ENDED, row):
                return Offer.DUPLICATE, key
        else:
            await connection.execute(_YIELD_TO_LEG, row)
    if await _changed(connection, _INSERT, row):
        return Offer.OPENED, key
    kept = await _kept(connection, key)
    if not kept:
        # A purge has deleted the row in between.
        return await put(connection, row)
    if await _written(connection, kept, merged(kept, row)):
        return Offer.MERGED, key
    informed_key = short(informed(key))
    informed_row = row | {"key": informed_key}
    if await _written(connection, kept, superseded(kept, row)) and await _changed(connection, _INSERT, informed_row):
        return Offer.OPENED, informed_key
    other = await _kept(connection, informed_key)
    if other and await _written(connection, other, merged(other, row)):
        return Offer.MERGED, informed_key
    await _written(connection, kept, {"duplicates": kept["duplicates"] + 1})
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


async def claim(
    connection: Connection,
    key: str,
    kind: Kind,
    owner: str,
    worker: int | None,
    now: float,
    *,
    suspects: bool = True,
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
        outcome, done = outcome_of(payload, sibling), load_progress(progress).without_change()
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


def outcome_of(payload: bytes | None, sibling: bytes | None) -> Outcome:
    return load(payload or b"", sibling)


async def hasten(connection: Connection, keys: Sequence[str], now: float) -> Sequence[str]:
    """Make items due that wait for their first claim. Gives their keys."""
    return [key for (key,) in await (await connection.execute(_HASTEN, {"keys": keys, "now": now})).fetchall()]


async def set_right(connection: Connection, now: float) -> Sequence[tuple[str, float]]:
    """After the wall clock was set back let nothing wait for it that waits for hooks.

    Gives the keys and times for which the caller must make a job.
    """
    parameters = {"now": now, "soon": now + SLACK}
    return [(key, at) for key, at in await (await connection.execute(_SET_RIGHT, parameters)).fetchall()]


async def waits(connection: Connection, key: str) -> tuple[float, float] | None:
    """When the item is due, and PostgreSQL's time, both in seconds since the epoch; ``None`` for an item not ready."""
    row = await (await connection.execute(_WAITS, (key,))).fetchone()
    return None if row is None else (row[0], row[1])


async def checkpoint(connection: Connection, key: str, owner: str, progress: Progress) -> bool:
    parameters = {"key": key, "owner": owner, "progress": dump_progress(progress)}
    return await _changed(connection, _CHECKPOINT, parameters) == 1


async def settle(connection: Connection, claim: Claim, owner: str, settlement: Settlement, now: float) -> bool:
    item, again = claim.item, settlement.state is State.READY
    parameters = {
        "key": item.key,
        "owner": owner,
        "attempt": claim.attempt,
        "returned": settlement.state is State.DONE,
        "state": settlement.state.value,
        "progress": dump_progress(settlement.progress),
        "reason": storable(settlement.reason),
        "due_at": settlement.due_at if again else None,
        "finished_at": None if again else now,
        "now": now,
    }
    if settlement.call is None or item.contact is None:
        return await _changed(connection, _SETTLE, parameters) == 1
    known = await _known(connection, item.contact, now)
    written = await _changed(connection, _SETTLE, parameters) == 1
    if written:
        at = settlement.due_at if again else now
        leg = None if settlement.leg is None else short(settlement.leg)
        await _keep(connection, item.contact, known, known.redial(item.key, settlement.call, at, leg=leg), now)
    return written


async def give_back(connection: Connection, key: str, owner: str, now: float) -> bool:
    return await _changed(connection, _GIVE_BACK, {"key": key, "owner": owner, "now": now}) == 1


async def _known(connection: Connection, contact: str, now: float) -> Contact:
    """What is known of the contact. No other transaction changes that before this one ends."""
    await connection.execute(_LOCK_CONTACT, (contact,))
    row = await (await connection.execute(_CONTACT, (contact,))).fetchone()
    return load_contact(None if row is None else row[0]).recent(now)


async def _keep(connection: Connection, contact: str, before: Contact, after: Contact, now: float) -> None:
    if after != before:
        values = contact, dump_contact(after).decode(), after.changed_at(now), after.busy_until
        await connection.execute(_KEEP_CONTACT, values)


async def note(connection: Connection, rows: Iterable[dict[str, Any]], offers: Iterable[Offer]) -> None:
    """Note what the rows report of their contacts. In one order for all puts, because each locks its contacts."""
    for row, offer in sorted(zip(rows, offers, strict=True), key=lambda noted: str(noted[0]["contact"])):
        if row["report"] is not None:
            contact, now = row["contact"], row["created_at"]
            known = await _known(connection, contact, now)
            after = known.noted(row["report"], now, late=offer is Offer.DUPLICATE)
            await _keep(connection, contact, known, after, now)


async def change(
    connection: Connection, contact: str, step: Change[T], now: float, owner_of: Callable[[str], str | None]
) -> Step[T] | None:
    contact = storable(contact) or ""
    known = await _known(connection, contact, now)
    made = step(known)
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
    await _keep(connection, contact, known, made.contact, now)
    return made


async def count_ready(connection: Connection, limit: int) -> int:
    query = "SELECT count(*) FROM (SELECT FROM ringback_items WHERE state = 'ready' LIMIT %s) AS waiting"
    row = await (await connection.execute(query, (limit,))).fetchone()
    return row[0] if row else 0


async def stats(connection: Connection, now: float) -> Stats:
    counts: dict[str, int] = {}
    redials, oldest = 0, now
    for state, count, calls, due_at in await (await connection.execute(_STATS)).fetchall():
        counts[state] = count
        if state == State.READY:
            redials, oldest = calls, due_at
    return Stats(**counts, redials=redials, oldest_due=max(0.0, now - oldest))


async def forget(connection: Connection, statement: LiteralString, before: float) -> int:
    """Run one of the ``FORGET_`` statements for some rows from before that time. Gives the number of changed rows."""
    return await _changed(connection, statement, {"before": before})


async def _found(connection: Connection, query: LiteralString, parameters: Any) -> bool:
    return await (await connection.execute(query, parameters)).fetchone() is not None


async def _changed(connection: Connection, query: LiteralString, parameters: Any) -> int:
    return (await connection.execute(query, parameters)).rowcount
