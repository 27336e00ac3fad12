"""What is known of contacts, in an SQLite store. Every function is one step of a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.stores.record import dump_contact, load_contact
from ringback.stores.sqlite.schema import CONTACT

if TYPE_CHECKING:
    import sqlite3

    from ringback.work.contact import Contact

_KEEP = "INSERT OR REPLACE INTO contacts (contact, state, changed_at, busy_until) VALUES (?, ?, ?, ?)"


def known_of(connection: sqlite3.Connection, contact: str, now: float) -> Contact:
    row = connection.execute(CONTACT, (contact,)).fetchone()
    return load_contact(None if row is None else row["state"]).recent(now)


def keep(connection: sqlite3.Connection, contact: str, before: Contact, after: Contact, now: float) -> None:
    if after != before:
        values = contact, dump_contact(after), after.changed_at(now), after.busy_until
        connection.execute(_KEEP, values)
