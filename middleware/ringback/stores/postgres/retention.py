"""What a PostgreSQL store forgets, and when."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, LiteralString

from ringback.stores.postgres import calls, deliveries, letters
from ringback.stores.postgres.database import changed
from ringback.work.items import REMEMBER_CALLS

if TYPE_CHECKING:
    from ringback.stores.postgres.databases import Databases

_OLD = "SELECT key FROM ringback_items WHERE finished_at < %(before)s AND state"
_SOME = "LIMIT 1000 FOR UPDATE SKIP LOCKED"
_FORGET_PAYLOADS: LiteralString = f"""
    UPDATE ringback_items SET payload = NULL, sibling = NULL
    WHERE key IN ({_OLD} IN ('done', 'canceled') AND payload IS NOT NULL {_SOME})
"""
_FORGET_KEYS: LiteralString = f"DELETE FROM ringback_items WHERE key IN ({_OLD} IN ('done', 'canceled') {_SOME})"
_FORGET_DEAD: LiteralString = f"DELETE FROM ringback_items WHERE key IN ({_OLD} = 'dead' {_SOME})"
_FORGET_CONTACTS: LiteralString = """
    DELETE FROM ringback_contacts WHERE contact IN (
        SELECT contact FROM ringback_contacts WHERE changed_at < %(before)s LIMIT 1000 FOR UPDATE SKIP LOCKED
    )
"""


async def purge(databases: Databases, now: float, keep: float, remember: float, remember_dead: float) -> int:
    """Forget payloads after ``keep`` seconds, keys after ``remember``, dead letters after ``remember_dead``.

    Gives the number of changed rows.
    """
    count = 0
    steps: list[tuple[LiteralString, float]] = [
        (letters.FORGET_DISCARDED, 0.0),
        (_FORGET_PAYLOADS, keep),
        (_FORGET_KEYS, remember),
        (calls.FORGET_NOTES, remember),
        (_FORGET_DEAD, remember_dead),
        (_FORGET_CONTACTS, REMEMBER_CALLS),
    ]
    for statement, age in steps:
        while some := await databases.do(partial(changed, query=statement, parameters={"before": now - age})):
            count += some
    return count + await databases.do(lambda connection: deliveries.fold(connection, now, now - REMEMBER_CALLS))
