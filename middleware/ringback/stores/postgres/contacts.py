"""What is known of contacts, in a PostgreSQL store. Every function is one step of a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.stores.record import dump_contact, load_contact

if TYPE_CHECKING:
    from ringback.stores.postgres.database import Connection
    from ringback.work.contact import Contact

# One transaction at a time changes what is known of a contact, and its redials.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_CONTACT = "SELECT state FROM ringback_contacts WHERE contact = %s"
_KEEP = """
    INSERT INTO ringback_contacts (contact, state, changed_at, busy_until) VALUES (%s, %s, %s, %s)
    ON CONFLICT (contact) DO UPDATE
        SET state = EXCLUDED.state, changed_at = EXCLUDED.changed_at, busy_until = EXCLUDED.busy_until
"""


async def known_of(connection: Connection, contact: str, now: float) -> Contact:
    """What is known of the contact. No other transaction changes that before this one ends."""
    await connection.execute(_LOCK, (contact,))
    row = await (await connection.execute(_CONTACT, (contact,))).fetchone()
    return load_contact(None if row is None else row[0]).recent(now)


async def keep(connection: Connection, contact: str, before: Contact, after: Contact, now: float) -> None:
    if after != before:
        values = contact, dump_contact(after).decode(), after.changed_at(now), after.busy_until
        await connection.execute(_KEEP, values)
