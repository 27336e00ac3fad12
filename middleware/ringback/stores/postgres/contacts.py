"""What is known of contacts, in a PostgreSQL store. Every function is one step of a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.stores.record import dump_contact, load_contact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ringback.stores.postgres.database import Connection
    from ringback.work.contact import Contact

# One transaction at a time changes what is known of a contact, and its redials. In the order of the array.
_LOCK = """
    SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM (
        SELECT name FROM unnest(%s::text[]) WITH ORDINALITY AS given (name, place) ORDER BY place
    ) AS ordered
"""
_KNOWN = "SELECT contact, state FROM ringback_contacts WHERE contact = ANY(%s)"
_KEEP = """
    INSERT INTO ringback_contacts (contact, state, changed_at, busy_until)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::float8[], %s::float8[])
    ON CONFLICT (contact) DO UPDATE
        SET state = EXCLUDED.state, changed_at = EXCLUDED.changed_at, busy_until = EXCLUDED.busy_until
"""


async def known_of(connection: Connection, contacts: Iterable[str], now: float) -> dict[str, Contact]:
    """What is known of the contacts. No other transaction changes that before this one ends.

    All transactions lock their contacts in one order, so that none waits for another that waits for it.
    """
    names = sorted(set(contacts))
    if not names:
        return {}
    await connection.execute(_LOCK, (names,))
    stored = dict(await (await connection.execute(_KNOWN, (names,))).fetchall())
    return {name: load_contact(stored.get(name)).recent(now) for name in names}


async def keep(connection: Connection, before: Mapping[str, Contact], after: Mapping[str, Contact], now: float) -> None:
    changed = [(name, state) for name, state in after.items() if state != before[name]]
    rows = [(name, dump_contact(state).decode(), state.changed_at(now), state.busy_until) for name, state in changed]
    if rows:
        await connection.execute(_KEEP, [list(column) for column in zip(*rows, strict=True)])
