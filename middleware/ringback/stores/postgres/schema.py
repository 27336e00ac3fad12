"""The tables of a PostgreSQL store, procrastinate's and Ringback's, which the first process makes."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from procrastinate.schema import SchemaManager

from ringback.exceptions import StoreError

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_STEPS = ("schema.sql", *(f"schema_{version}.sql" for version in range(2, 8)))
"""The files that bring a database from version n to n + 1. A release adds files and changes none."""

VERSION = len(_STEPS)

_LOCK = 0x52_42_43_4B
_USED = [
    "procrastinate_defer_jobs_v1",
    "procrastinate_fetch_job_v2",
    "procrastinate_finish_job_v1",
    "procrastinate_prune_stalled_workers_v1",
    "procrastinate_register_worker_v1",
    "procrastinate_retry_job_v2",
    "procrastinate_unregister_worker_v1",
    "procrastinate_update_heartbeat_v1",
]
"""The functions that the installed procrastinate calls; procrastinate's tables do not name their version."""


async def prepare(connection: AsyncConnection[Any], *, make: bool = True) -> None:
    """Make the tables that are missing, and bring Ringback's tables up to date, in one transaction.

    Raises :class:`StoreError` for procrastinate's tables of another version, for tables of a newer release, for a
    database that cannot hold every text, and, with ``make`` false, for a database without Ringback's tables.
    """
    await _refuse_other_encoding(connection)
    async with connection.transaction():
        # Two processes that start together would both find no tables, and both make them.
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        made = await _exists(connection, "ringback_meta")
        if not made and not make:
            raise StoreError(
                "there is no store in this database; name the database that the app uses, and the search_path if the "
                "app has one"
            )
        if not await _exists(connection, "procrastinate_jobs"):
            await connection.execute(SchemaManager.get_schema())
        await _refuse_other_procrastinate(connection)
        version = await _version(connection) if made else 0
        for step in _STEPS[version:]:
            await connection.execute((resources.files("ringback.stores.postgres") / step).read_bytes())


async def _exists(connection: AsyncConnection[Any], table: str) -> bool:
    found = await (await connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,))).fetchone()
    return bool(found and found[0])


async def _refuse_other_encoding(connection: AsyncConnection[Any]) -> None:
    for (encoding,) in await (await connection.execute("SHOW server_encoding")).fetchall():
        if encoding != "UTF8":
            raise StoreError(
                f"the database has the encoding {encoding}, in which not every text can be written; create one with "
                "ENCODING 'UTF8' TEMPLATE template0"
            )


async def _refuse_other_procrastinate(connection: AsyncConnection[Any]) -> None:
    query = "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regproc(name) IS NULL ORDER BY name"
    missing = [name for (name,) in await (await connection.execute(query, (_USED,))).fetchall()]
    if missing:
        raise StoreError(
            f"the database has procrastinate's tables of another version ({', '.join(missing)} not found); apply the "
            "migrations in the folder that 'procrastinate schema --migrations-path' names, in order"
        )


async def _version(connection: AsyncConnection[Any]) -> int:
    query = "SELECT value FROM ringback_meta WHERE name = 'schema'"
    row = await (await connection.execute(query)).fetchone()
    version = row[0] if row else "unknown"
    if version not in map(str, range(1, VERSION + 1)):
        raise StoreError(
            f"the database was made by a newer release (schema {version}, this one knows {VERSION}), or upgraded by "
            "it; upgrade ringback, or end all processes and restore the dump from before the upgrade"
        )
    return int(version)


def storable(text: str | None) -> str | None:
    """The text with ``?`` for lone surrogates and U+FFFD for NUL, which PostgreSQL's ``text`` cannot hold."""
    return text and text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
