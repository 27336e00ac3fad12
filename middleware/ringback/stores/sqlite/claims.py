"""What workers do with the items of an SQLite store. Every function is one step of a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.exceptions import StoreError
from ringback.privacy.redaction import redact
from ringback.stores.record import dump_progress, load, load_progress
from ringback.stores.rows import settled
from ringback.stores.sqlite.redials import keep, known_of
from ringback.stores.sqlite.schema import WHOLE, storable
from ringback.work.items import Claim, Item, Kind, Progress, Settlement, State
from ringback.work.keys import short

if TYPE_CHECKING:
    import sqlite3

    from ringback.stores.clocks import Boot

_WHOLE = f"SELECT items.*, text AS verdict_text FROM {WHOLE}"
_DUE = f"{_WHOLE} WHERE state = 'ready' AND kind = ? AND due_at <= ? ORDER BY due_at LIMIT ?"
# An owner begins with the boot by whose clock its leases count. A lease of another boot is void; one without a boot, as
# a machine gives that does not name its boots, counts by the wall clock.
_LEASES_NOW = """
    CASE substr(owner, 1, instr(owner, '.')) WHEN '' THEN :now WHEN :boot THEN :since_boot ELSE 9e999 END
"""
_EXPIRED = f"""
    {_WHOLE} WHERE state = 'running' AND kind = :kind AND leased_until <= {_LEASES_NOW} AND owner <> :owner
    ORDER BY leased_until LIMIT :limit
"""
_CLAIM = """
    UPDATE items SET state = 'running', owner = :owner, leased_until = :until, attempts = attempts + 1, interrupted = 0
    WHERE id = :id
"""
_NEXT_DUE = f"""
    SELECT min(at) FROM (
        SELECT min(due_at) AS at FROM items WHERE state = 'ready' AND kind = :kind
        UNION ALL SELECT :now + min(leased_until - {_LEASES_NOW}) FROM items
        WHERE state = 'running' AND kind = :kind AND owner <> :owner AND (:suspects OR leased_until > {_LEASES_NOW})
    )
"""
_BROKEN = """
    UPDATE items SET state = 'dead', reason = :reason, finished_at = :now, owner = NULL, leased_until = NULL,
        attempts = attempts + 1
    WHERE id = :id
"""
_CHECKPOINT = "UPDATE items SET progress = :progress WHERE key = :key AND state = 'running' AND owner = :owner"
# The second line is for what nobody has worked on since; the third says that every hook has returned, which counts
# while the item is open.
_SETTLE = """
    UPDATE items SET state = :state, progress = :progress, due_at = coalesce(:due_at, due_at), waits_since = :now,
        reason = :reason, owner = NULL, leased_until = NULL, finished_at = :finished_at
    WHERE key = :key AND (state = 'running' AND owner = :owner AND attempts = :attempt
        OR state IN ('ready', 'dead') AND attempts = :attempt
        OR state IN ('ready', 'running') AND :returned)
"""
# An outcome that waits since before the wall clock was set back waits as long as it would have. A second process finds
# nothing more to do. A redial waits for a time of the day.
SET_RIGHT = """
    UPDATE items SET
        due_at = :now + due_at - coalesce(waits_since, created_at), waits_since = :now,
        created_at = min(created_at, :now)
    WHERE state = 'ready' AND due_at > :soon AND kind = 'outcome' AND coalesce(waits_since, created_at) > :soon
"""
RENEW = "UPDATE items SET leased_until = ? WHERE state = 'running' AND owner = ?"
GIVE_BACK = """
    UPDATE items SET state = 'ready', due_at = :now, waits_since = :now, interrupted = 1, owner = NULL,
        leased_until = NULL
    WHERE key = :key AND state = 'running' AND owner = :owner AND attempts = :attempt
"""


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
    found = connection.execute(_DUE, (kind.value, now, limit)).fetchall()
    most = min(suspects, (limit if room is None else room) - len(found))
    if most > 0:
        left = connection.execute(_EXPIRED, {**times, "limit": most}).fetchall()
        found, suspects = found + left, suspects - len(left)
    claims: list[Claim] = []
    for row in found:
        try:
            claims.append(_claim_of(row))
        except StoreError as error:
            connection.execute(_BROKEN, {"id": row["id"], "reason": storable(redact(str(error))), "now": now})
        else:
            connection.execute(_CLAIM, {"id": row["id"], "owner": owner, "until": until})
    # The other items of a dead worker wait until the one that is tried has ended.
    (due_at,) = connection.execute(_NEXT_DUE, {**times, "suspects": suspects}).fetchone()
    return claims, due_at


def _claim_of(row: sqlite3.Row) -> Claim:
    """The claim on a row, which the statement has read before the claim changes it."""
    outcome = load(row["payload"] or b"", row["sibling"], row["verdict_text"])
    progress = load_progress(row["progress"]).without_change()
    item = Item(row["key"], Kind(row["kind"]), row["due_at"], outcome, row["contact"], row["target"], row["number"])
    crashed = row["state"] == State.RUNNING
    redelivered = crashed or bool(row["interrupted"])
    attempt, put_at = row["attempts"] + 1, row["created_at"]
    return Claim(item, attempt, redelivered=redelivered, crashed=crashed, progress=progress, put_at=put_at)


def checkpoint(connection: sqlite3.Connection, key: str, progress: Progress, owner: str) -> bool:
    parameters = {"key": short(key), "progress": dump_progress(progress), "owner": owner}
    return connection.execute(_CHECKPOINT, parameters).rowcount == 1


def settle(connection: sqlite3.Connection, claim: Claim, settlement: Settlement, now: float, owner: str) -> None:
    values = settled(claim, settlement, owner, now) | {"reason": storable(settlement.reason)}
    written, contact = connection.execute(_SETTLE, values).rowcount, claim.item.contact
    if written and settlement.call is not None and contact is not None:
        known = known_of(connection, contact, now)
        keep(connection, contact, known, settlement.noted_in(known, claim.item.key, now), now)
