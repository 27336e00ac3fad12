"""Statements on the items and calls of a PostgreSQL store. Each function is one step of a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from ringback.exceptions import StoreError
from ringback.latch import Offer
from ringback.redial import Planned
from ringback.stores import record
from ringback.stores.port import CallRecord, Claim, DeadLetter, Item, Kind, Progress, State, Stats
from ringback.stores.record import dump_progress, load, load_progress, short

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import LiteralString

    from ringback.redial import Plan
    from ringback.stores._postgres_database import Connection
    from ringback.stores.port import Decide, Redial, Settlement

BATCH = 1000
"""Rows that one statement of the housekeeping changes: puts wait for the same disk."""

_ITEM = "key, kind, due_at, attempts, interrupted, contact, target, number, payload, sibling, progress"

_LOCK = """
    SELECT pg_advisory_xact_lock(id) FROM (
        SELECT DISTINCT hashtextextended(name, 1) AS id FROM unnest(%s::text[]) AS name ORDER BY id
    ) AS ordered
"""
_TOLD_BY_A_LEG = """
    SELECT 1 FROM ringback_items
    WHERE call = %(call)s AND key <> %(key)s AND ends_call AND event <> 'CallEnded' LIMIT 1
"""
# Where hooks have been told of the whole call's end already, the history counts the leg alone.
_YIELD_TO_LEG = """
    UPDATE ringback_items SET
        state = CASE WHEN state = 'ready' AND attempts = 0 THEN 'canceled' ELSE state END,
        finished_at = CASE WHEN state = 'ready' AND attempts = 0 THEN %(now)s ELSE finished_at END,
        cause = NULL, category = NULL, retry = NULL, match = NULL, code = NULL, subcode = NULL
    WHERE key = %(ended)s AND key <> %(key)s AND event = 'CallEnded' AND sibling IS NULL
      AND (cause IS NOT NULL OR state = 'ready' AND attempts = 0)
"""
_INSERT = """
    INSERT INTO ringback_items (key, kind, state, due_at, ends_call, event, call, contact, target, number, rank,
                                payload, sibling, created_at, cause, category, retry, match, code, subcode)
    VALUES (%(key)s, %(kind)s, 'ready', %(due_at)s, %(ends_call)s, %(event)s, %(call)s, %(contact)s, %(target)s,
            %(number)s, %(rank)s, %(payload)s, %(sibling)s, %(now)s, %(cause)s, %(category)s, %(retry)s, %(match)s,
            %(code)s, %(subcode)s)
    ON CONFLICT (key) DO NOTHING
"""
_MERGE = """
    UPDATE ringback_items SET
        payload = CASE WHEN %(rank)s > rank THEN %(payload)s::bytea ELSE payload END,
        sibling = CASE WHEN %(rank)s > rank THEN payload ELSE %(payload)s::bytea END,
        event = CASE WHEN %(rank)s > rank THEN %(event)s ELSE event END,
        cause = CASE WHEN %(rank)s > rank THEN %(cause)s ELSE cause END,
        category = CASE WHEN %(rank)s > rank THEN %(category)s ELSE category END,
        retry = CASE WHEN %(rank)s > rank THEN %(retry)s ELSE retry END,
        match = CASE WHEN %(rank)s > rank THEN %(match)s ELSE match END,
        code = CASE WHEN %(rank)s > rank THEN %(code)s ELSE code END,
        subcode = CASE WHEN %(rank)s > rank THEN %(subcode)s ELSE subcode END,
        call = coalesce(call, %(call)s),
        rank = greatest(rank, %(rank)s)
    WHERE key = %(key)s AND ends_call AND %(ends_call)s AND state = 'ready' AND attempts = 0 AND sibling IS NULL
      AND event <> %(event)s
"""
_DUPLICATE = "UPDATE ringback_items SET duplicates = duplicates + 1 WHERE key = %(key)s"

# Asked again by the same owner it gives the same: the answer to the first time may have been lost.
_CLAIM = f"""
    UPDATE ringback_items SET state = 'running', owner = %(owner)s, worker = %(worker)s,
        attempts = attempts + CASE WHEN state = 'ready' THEN 1 ELSE 0 END
    WHERE key = %(key)s AND (state = 'ready' AND due_at <= %(now)s OR state = 'running' AND owner = %(owner)s)
    RETURNING {_ITEM}
"""
_WAITS = """
    SELECT due_at, extract(epoch FROM clock_timestamp())::float8 FROM ringback_items
    WHERE key = %s AND state = 'ready'
"""
_OURS = "key = %(key)s AND state = 'running' AND owner = %(owner)s"
_CHECKPOINT = f"UPDATE ringback_items SET progress = %(progress)s WHERE {_OURS}"
_SETTLE = f"""
    UPDATE ringback_items SET state = %(state)s, progress = %(progress)s, reason = %(reason)s,
        due_at = coalesce(%(due_at)s::float8, due_at), finished_at = %(finished_at)s,
        owner = NULL, worker = NULL, interrupted = 0
    WHERE {_OURS}
"""
_GIVE_BACK = f"""
    UPDATE ringback_items SET state = 'ready', due_at = %(due_at)s, owner = NULL, worker = NULL, interrupted = 1
    WHERE {_OURS}
"""
_TAKE_OVER = """
    UPDATE ringback_items SET state = 'ready', due_at = least(due_at, %(now)s), owner = NULL, worker = NULL,
        interrupted = 2
    WHERE key IN (
        SELECT key FROM ringback_items AS item
        WHERE state = 'running' AND NOT EXISTS (
            SELECT FROM procrastinate_workers AS worker
            WHERE worker.id = item.worker
              AND worker.last_heartbeat > clock_timestamp() - make_interval(secs => %(lease)s)
        )
        LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
    RETURNING key
"""
_FORGOTTEN = """
    SELECT key FROM ringback_items AS item
    WHERE state = 'ready' AND due_at < %(before)s AND NOT EXISTS (
        SELECT FROM procrastinate_jobs AS job
        WHERE job.queue_name = %(queue)s AND job.status IN ('todo', 'doing') AND job.args ->> 'key' = item.key
    )
    ORDER BY due_at LIMIT %(limit)s
"""
_KEEP_CLAIMS = "UPDATE ringback_items SET worker = %s WHERE state = 'running' AND owner = ANY(%s::text[])"

_CALL_OF_LEG = "SELECT 1 FROM ringback_calls WHERE leg = %(leg)s"
_ADOPT_LEG = """
    UPDATE ringback_calls SET leg = %(leg)s WHERE key = (
        SELECT key FROM ringback_calls WHERE contact = %(contact)s AND leg IS NULL AND at <= %(at)s
        ORDER BY at LIMIT 1
    )
"""
_NOTE_CALL = """
    INSERT INTO ringback_calls (key, contact, at, leg) VALUES (%(key)s, %(contact)s, %(at)s, %(leg)s)
    ON CONFLICT DO NOTHING
"""
_FORGET_CALL = "DELETE FROM ringback_calls WHERE key = ANY(%s::text[])"
_BIND_LEG = "UPDATE ringback_calls SET leg = %(leg)s WHERE key = %(key)s"
_CALLS = "SELECT key, at FROM ringback_calls WHERE contact = %s ORDER BY at"
_TO_COME = "SELECT 1 FROM ringback_items WHERE contact = %s AND kind = 'redial' AND state = 'ready' LIMIT 1"
_CANCEL = """
    UPDATE ringback_items SET state = 'canceled', finished_at = %s
    WHERE contact = %s AND kind = 'redial' AND state = 'ready' RETURNING key, attempts
"""

_STATS = """
    SELECT state, count(*), count(*) FILTER (WHERE kind = 'redial'), min(due_at) FROM ringback_items GROUP BY state
"""
_DEAD = """
    SELECT key, kind, payload, sibling, attempts, reason, finished_at, progress, target FROM ringback_items
    WHERE state = 'dead' ORDER BY finished_at DESC, created_at DESC, key LIMIT %s
"""
_REPLAY = """
    UPDATE ringback_items SET state = 'ready', attempts = 0, due_at = %s, reason = NULL, finished_at = NULL,
        interrupted = 0, progress = %s
    WHERE key = %s
"""
_DISCARD = """
    UPDATE ringback_items SET state = 'canceled', payload = NULL, sibling = NULL, progress = NULL, contact = NULL
    WHERE key = %s AND state = 'dead'
"""
_OLD = "SELECT key FROM ringback_items WHERE finished_at < %(before)s AND state"
_SOME = "LIMIT 1000 FOR UPDATE SKIP LOCKED"
FORGET_PAYLOADS: LiteralString = f"""
    UPDATE ringback_items SET payload = NULL, sibling = NULL, progress = NULL, contact = NULL
    WHERE key IN ({_OLD} IN ('done', 'canceled') AND payload IS NOT NULL {_SOME})
"""
FORGET_KEYS: LiteralString = f"DELETE FROM ringback_items WHERE key IN ({_OLD} IN ('done', 'canceled') {_SOME})"
FORGET_DEAD: LiteralString = f"DELETE FROM ringback_items WHERE key IN ({_OLD} = 'dead' {_SOME})"
FORGET_CALLS: LiteralString = """
    DELETE FROM ringback_calls WHERE key IN (
        SELECT key FROM ringback_calls WHERE at < %(before)s LIMIT 1000 FOR UPDATE SKIP LOCKED
    )
"""


def row_of(item: Item, now: float) -> dict[str, Any]:
    """The item as it is stored."""
    return asdict(record.row(item, storable(item.contact), now))


def storable(text: str | None) -> str | None:
    """The text without what PostgreSQL has no place for: NUL and lone surrogates."""
    return text and text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


async def lock_for_put(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Wait for who puts the same, in an order that all keep: a call's end and a leg's must not miss each other."""
    names = {row["ended"] for row in rows if row["ends_call"] and row["ended"] is not None}
    if len(rows) > 1:
        names.update(row["key"] for row in rows)
    if names:
        await connection.execute(_LOCK, (sorted(names),))


async def put(connection: Connection, row: dict[str, Any]) -> Offer:
    if row["ends_call"] and row["call"] is not None:
        if row["event"] == "CallEnded":
            if await _found(connection, _TOLD_BY_A_LEG, row):
                return Offer.DUPLICATE
        else:
            await connection.execute(_YIELD_TO_LEG, row)
    if await _changed(connection, _INSERT, row):
        return Offer.OPENED
    if await _changed(connection, _MERGE, row):
        return Offer.MERGED
    await connection.execute(_DUPLICATE, row)
    return Offer.DUPLICATE


async def claim(connection: Connection, key: str, owner: str, worker: int | None, now: float) -> Claim | None:
    """The claim, if the item waits and is due. A record that cannot be read makes a dead letter of it."""
    parameters = {"key": key, "owner": owner, "worker": worker, "now": now}
    row = await (await connection.execute(_CLAIM, parameters)).fetchone()
    if row is None:
        return None
    key, kind, due_at, attempts, interrupted, contact, target, number, payload, sibling, progress = row
    try:
        outcome, done = load(payload or b"", sibling), load_progress(progress)
    except StoreError as error:
        reason = storable(str(error))
        broken = {"key": key, "owner": owner, "state": "dead", "reason": reason, "due_at": None, "finished_at": now}
        await connection.execute(_SETTLE, {**broken, "progress": progress})
        return None
    item = Item(key, Kind(kind), due_at, outcome, contact, target, number)
    return Claim(item, attempts, redelivered=interrupted > 0, crashed=interrupted == 2, progress=done)


async def waits(connection: Connection, key: str) -> tuple[float, float] | None:
    """When the item is due, and what the time is by PostgreSQL's clock; ``None`` unless it is ready."""
    row = await (await connection.execute(_WAITS, (key,))).fetchone()
    return None if row is None else (row[0], row[1])


async def checkpoint(connection: Connection, key: str, owner: str, progress: Progress) -> bool:
    parameters = {"key": key, "owner": owner, "progress": dump_progress(progress)}
    return await _changed(connection, _CHECKPOINT, parameters) == 1


async def settle(connection: Connection, item: Item, owner: str, settlement: Settlement, now: float) -> bool:
    again = settlement.state is State.READY
    parameters = {
        "key": item.key,
        "owner": owner,
        "state": settlement.state.value,
        "progress": dump_progress(settlement.progress),
        "reason": storable(settlement.reason),
        "due_at": settlement.due_at if again else None,
        "finished_at": None if again else now,
    }
    if settlement.leg is not None and item.contact is not None:
        await lock_contact(connection, item.contact)
    written = await _changed(connection, _SETTLE, parameters) == 1
    if written and settlement.leg is not None:
        # The call's end may have been faster than its function's return, and was counted by itself.
        await connection.execute(_FORGET_CALL, ([short(f"leg:{settlement.leg}")],))
        await connection.execute(_BIND_LEG, {"key": item.key, "leg": short(settlement.leg)})
    return written


async def give_back(connection: Connection, key: str, owner: str, due_at: float) -> bool:
    return await _changed(connection, _GIVE_BACK, {"key": key, "owner": owner, "due_at": due_at}) == 1


async def take_over(connection: Connection, lease: float, now: float) -> Sequence[str]:
    """Make the items of dead workers ready again. Their keys."""
    found = await connection.execute(_TAKE_OVER, {"lease": lease, "now": now, "limit": BATCH})
    return [key for (key,) in await found.fetchall()]


async def forgotten(connection: Connection, queue: str, before: float) -> Sequence[str]:
    """Keys of items that were due before that time and have no job to wake a worker for them."""
    # One after the other, so that the next sees the jobs that were made for them.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))", (queue,))
    found = await connection.execute(_FORGOTTEN, {"queue": queue, "before": before, "limit": BATCH})
    return [key for (key,) in await found.fetchall()]


async def keep_claims(connection: Connection, worker: int, owners: Sequence[str]) -> None:
    await connection.execute(_KEEP_CLAIMS, (worker, list(owners)))


async def lock_contact(connection: Connection, contact: str) -> None:
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (contact,))


async def plan(connection: Connection, redial: Redial, decide: Decide, now: float) -> Plan | None:
    contact = storable(redial.contact) or ""
    row = row_of(redial.item, now)
    await lock_contact(connection, contact)
    await _note(connection, contact, row["key"], redial.leg, now)
    if await _found(connection, "SELECT 1 FROM ringback_items WHERE key = %(key)s", row):
        return None
    if await _found(connection, _TO_COME, (contact,)):
        return None
    calls = await (await connection.execute(_CALLS, (contact,))).fetchall()
    plan = decide([CallRecord(key, at) for key, at in calls])
    if isinstance(plan, Planned):
        row |= {"due_at": plan.at, "number": plan.number, "contact": contact}
        await connection.execute(_INSERT, row)
        await connection.execute(_NOTE_CALL, {"key": row["key"], "contact": contact, "at": plan.at, "leg": None})
    return plan


async def cancel(connection: Connection, contact: str, leg: str | None, now: float) -> int:
    contact = storable(contact) or ""
    await lock_contact(connection, contact)
    if leg is not None:
        await _note(connection, contact, leg, leg, now)
    canceled = await (await connection.execute(_CANCEL, (now, contact))).fetchall()
    # Begun, it may have been a call, and counts as one.
    await connection.execute(_FORGET_CALL, ([key for key, attempts in canceled if attempts == 0],))
    return len(canceled)


async def _note(connection: Connection, contact: str, key: str, leg: str | None, now: float) -> None:
    """Count the call that has ended, unless it is one that a redial has placed."""
    name = short(f"leg:{leg or key}")
    parameters = {"key": name, "contact": contact, "at": now, "leg": None if leg is None else short(leg)}
    if leg is not None:
        if await _found(connection, _CALL_OF_LEG, parameters):
            return
        if await _changed(connection, _ADOPT_LEG, parameters):
            return
    await connection.execute(_NOTE_CALL, parameters)


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


async def dead(connection: Connection, limit: int) -> Sequence[DeadLetter]:
    return [_letter(*row) for row in await (await connection.execute(_DEAD, (limit,))).fetchall()]


def _letter(
    key: str,
    kind: str,
    payload: bytes | None,
    sibling: bytes | None,
    attempts: int,
    reason: str | None,
    died_at: float,
    progress: bytes | None,
    target: str | None,
) -> DeadLetter:
    try:
        outcome, done = load(payload or b"", sibling), load_progress(progress)
    except StoreError:
        outcome, done = None, Progress()
    return DeadLetter(key, Kind(kind), outcome, attempts, reason or "", died_at, done, target)


async def replay(connection: Connection, key: str, now: float) -> bool:
    query = "SELECT progress FROM ringback_items WHERE key = %s AND state = 'dead' FOR UPDATE"
    row = await (await connection.execute(query, (key,))).fetchone()
    if row is None:
        return False
    progress = load_progress(row[0]).replayed()
    await connection.execute(_REPLAY, (now, dump_progress(progress), key))
    return True


async def discard(connection: Connection, key: str) -> bool:
    return (await connection.execute(_DISCARD, (key,))).rowcount == 1


async def _found(connection: Connection, query: LiteralString, parameters: Any) -> bool:
    return await (await connection.execute(query, parameters)).fetchone() is not None


async def _changed(connection: Connection, query: LiteralString, parameters: Any) -> int:
    return (await connection.execute(query, parameters)).rowcount
