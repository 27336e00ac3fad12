"""The two pools of a PostgreSQL store for its database: one for puts, which fail soon, and one for all else.

So many puts do not block the workers.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import psycopg

from ringback.exceptions import StoreUnavailable
from ringback.stores.postgres import repair, schema
from ringback.stores.postgres.database import ISOLATION, Connection, Database
from ringback.stores.postgres.faults import translated

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from ringback.stores.postgres.login import Login

T = TypeVar("T")


class Databases:
    """Opens both at the first use, and makes the tables if there are none. For the settings see ``PostgresStore``.

    With ``makes_tables`` false a database without the tables is refused, before the first use.
    ``set_clock`` gets PostgreSQL's time when the store opens, in seconds since the epoch.
    """

    def __init__(
        self, login: Login, *, size: int, timeout: float, listen: bool, set_clock: Callable[[float], None]
    ) -> None:
        self._login = login
        self._size = size
        self._timeout = timeout
        self._listen = listen
        self._set_clock = set_clock
        self.makes_tables = True
        self._opening = asyncio.Lock()
        self._both: tuple[Database, Database] | None = None

    async def open(self) -> tuple[Database, Database]:
        """The database for puts, and that for all else."""
        async with self._opening:
            if self._both is None:
                await self._prepare()
                puts, others = self._database(self._timeout), self._database(self._timeout * 15)
                await puts.open()
                await others.open()
                self._both = puts, others
            return self._both

    async def close(self) -> None:
        async with self._opening:
            both, self._both = self._both or (), None
            for database in both:
                await database.close()

    async def open_for_puts(self) -> Database:
        """The database for puts. Raises :class:`StoreUnavailable` after the time-out of a put."""
        async with _within(self._timeout):
            puts, _ = await self.open()
        return puts

    async def do(self, operation: Callable[[Connection], Awaitable[T]]) -> T:
        """What an operation returns that is no put."""
        _, others = await self.open()
        return await others.do(operation)

    def beat_alone(self, worker: int | None) -> None:
        """Renew the entry of a worker, if it has one, by a connection of its own, for a thread."""
        with suppress(StoreUnavailable):
            if worker is not None:
                repair.beat_alone(self._login.conninfo(), worker)

    def _database(self, limit: float) -> Database:
        return Database(self._login.asked, size=self._size, timeout=self._timeout, limit=limit, pooled=not self._listen)

    async def _prepare(self) -> None:
        async with _within(self._timeout * 15):
            with translated():
                # Not the pool's: that does not say why it cannot connect.
                conninfo = await self._login.asked()
                connecting = psycopg.AsyncConnection.connect(conninfo, autocommit=True, prepare_threshold=None)
                async with await connecting as connection:
                    await connection.set_isolation_level(ISOLATION)
                    await schema.prepare(connection, make=self.makes_tables)
                    found = await connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
                    for (theirs,) in await found.fetchall():
                        self._set_clock(theirs)


@asynccontextmanager
async def _within(seconds: float) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise StoreUnavailable(f"PostgreSQL did not answer within {seconds:g} seconds") from error
