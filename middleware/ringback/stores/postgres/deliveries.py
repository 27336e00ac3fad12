"""How deliveries were answered, in a PostgreSQL store: by the minute for a day, by the hour for 31 days.

Every function is one step of a transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.work.deliveries import Counted, Deliveries, LastDelivery, deliveries_of, folded_before, last_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ringback.stores.postgres.database import Connection

_MERGE = """
    ON CONFLICT (at, result, reason) DO UPDATE SET
        count = kept.count + excluded.count, last_at = greatest(kept.last_at, excluded.last_at)
"""
# In one order, so that two processes do not wait for each other.
_ADD = f"""
    INSERT INTO ringback_deliveries AS kept (at, result, reason, count, last_at)
    SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::float8[]) ORDER BY 1, 2, 3
    {_MERGE}
"""
_FOLD = f"""
    WITH folded AS (
        DELETE FROM ringback_deliveries WHERE at < %(before)s AND at %% 3600 <> 0 RETURNING *
    )
    INSERT INTO ringback_deliveries AS kept (at, result, reason, count, last_at)
    SELECT at - at %% 3600, result, reason, sum(count), max(last_at) FROM folded
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    {_MERGE}
"""
# The last delivery of each result stays, however long ago it came.
_FORGET = """
    DELETE FROM ringback_deliveries AS old WHERE at < %(before)s AND last_at < (
        SELECT max(last_at) FROM ringback_deliveries AS other WHERE other.result = old.result
    )
"""
_COUNTS = """
    SELECT trunc((at - %(since)s::float8) / %(step)s::float8) AS bar, result, reason, sum(count)::bigint
    FROM ringback_deliveries WHERE at >= %(since)s::float8 AND at < %(until)s::float8
    GROUP BY bar, result, reason
"""
_LAST = "SELECT result, max(last_at), min(at) FROM ringback_deliveries GROUP BY result"


async def add(connection: Connection, counted: Sequence[Counted]) -> None:
    columns = [[getattr(each, name) for each in counted] for name in Counted.__struct_fields__]
    await connection.execute(_ADD, columns)


async def fold(connection: Connection, now: float, forget: float) -> int:
    """Add up by the hour what is old enough, and forget what is from before ``forget``. How many rows changed."""
    folded = await connection.execute(_FOLD, {"before": folded_before(now)})
    forgotten = await connection.execute(_FORGET, {"before": forget})
    return folded.rowcount + forgotten.rowcount


async def deliveries(connection: Connection, since: float, until: float, step: float) -> Sequence[Deliveries]:
    found = await connection.execute(_COUNTS, {"since": since, "until": until, "step": step})
    return deliveries_of(await found.fetchall(), since, step)


async def last(connection: Connection) -> LastDelivery:
    return last_of(await (await connection.execute(_LAST)).fetchall())
