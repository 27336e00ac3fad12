"""What an SQLite store forgets, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.stores.sqlite import deliveries
from ringback.work.items import REMEMBER_CALLS

if TYPE_CHECKING:
    from ringback.stores.sqlite.database import Database

_OLD = "WHERE id IN (SELECT id FROM items WHERE finished_at"
_STEPS = (
    f"""
    UPDATE items SET payload = NULL, sibling = NULL, progress = NULL, contact = NULL
    {_OLD} <= :now AND state = 'canceled' AND reason IS NOT NULL AND progress IS NOT NULL LIMIT 1000)
    """,
    f"""
    UPDATE items SET payload = NULL, sibling = NULL
    {_OLD} < :keep AND state IN ('done', 'canceled') AND payload IS NOT NULL LIMIT 1000)
    """,
    f"DELETE FROM items {_OLD} < :remember AND state IN ('done', 'canceled') LIMIT 1000)",
    f"DELETE FROM items {_OLD} < :long AND state = 'dead' LIMIT 1000)",
    # Notes are numbered as they come, so that the oldest are found without an index.
    """
    DELETE FROM notes WHERE id IN (
        SELECT id FROM (SELECT id, at FROM notes ORDER BY id LIMIT 1000) WHERE at < :remember
    )
    """,
    "DELETE FROM contacts WHERE contact IN (SELECT contact FROM contacts WHERE changed_at < :long LIMIT 1000)",
)


async def purge(database: Database, now: float, keep: float, remember: float) -> int:
    """Forget payloads after ``keep`` seconds, then keys after ``remember``. Gives the number of changed rows."""
    count = 0
    times = {"now": now, "keep": now - keep, "remember": now - remember, "long": now - REMEMBER_CALLS}
    for statement in _STEPS:
        # A thousand rows at a time, because puts wait for the same writer.
        while changed := await database.change(statement, times):
            count += changed
    return count + await database.do(lambda connection: deliveries.fold(connection, now, times["long"]))
