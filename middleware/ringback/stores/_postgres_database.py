"""Connections to one PostgreSQL database: a pool, one transaction for each operation, a time limit on all of it."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool

from ringback.exceptions import ConfigurationError, StoreUnavailable
from ringback.stores._postgres_faults import translated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

Connection: TypeAlias = AsyncConnection[tuple[Any, ...]]
Pool: TypeAlias = AsyncConnectionPool[Connection]

_TRIES = 3


def conninfo_of(url: str, timeout: float) -> str:
    """The connection string of a URL. Raises :class:`ConfigurationError`, without the URL: it holds a password."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:
        raise ConfigurationError(
            "the store's URL cannot be read; write 'postgresql://user:password@host:5432/database', "
            "with %-encoding for special characters of the password"
        ) from None
    usual: dict[str, Any] = {
        "application_name": "ringback",
        "connect_timeout": max(2, math.ceil(timeout)),
        # A server that is gone without a word is noticed after this long, not after two hours.
        "tcp_user_timeout": math.ceil(timeout * 1000),
        "keepalives_idle": 10,
    }
    return make_conninfo("", **{**usual, **given})


class Database:
    """A pool of 1 to ``size`` connections. An operation is given up after ``limit`` seconds, the wait for
    a connection included, which is ``timeout`` at most.
    """

    def __init__(self, conninfo: str, *, size: int, timeout: float, limit: float) -> None:
        self._limit = limit
        self._abandoned: set[asyncio.Task[Any]] = set()
        self.pool: Pool = AsyncConnectionPool(
            conninfo,
            min_size=1,
            max_size=size,
            timeout=timeout,
            # Given up soon, so that the next who asks tries anew: the pool itself waits ever longer.
            reconnect_timeout=min(timeout, 2.0),
            open=False,
            configure=self._configure,
            check=AsyncConnectionPool.check_connection,
        )

    async def open(self) -> None:
        await self.pool.open()

    async def close(self) -> None:
        await self.pool.close()

    async def do(self, operation: Callable[[Connection], Awaitable[T]]) -> T:
        """The result of the operation, which runs in a transaction of its own, and again after a deadlock."""
        task = asyncio.get_running_loop().create_task(self._attempt(operation))
        try:
            done, _ = await asyncio.wait({task}, timeout=self._limit)
        except BaseException:
            self._abandon(task)
            raise
        if not done:
            # Not waited for: a cancelled query asks the server first, which may be what does not answer.
            self._abandon(task)
            raise StoreUnavailable(f"PostgreSQL did not do it within {self._limit:g} seconds")
        return task.result()

    async def _attempt(self, operation: Callable[[Connection], Awaitable[T]]) -> T:
        with translated():
            for _ in range(_TRIES - 1):
                try:
                    async with self.pool.connection() as connection:
                        return await operation(connection)
                except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                    continue
            async with self.pool.connection() as connection:
                return await operation(connection)

    async def _configure(self, connection: Connection) -> None:
        milliseconds = str(math.ceil(self._limit * 1000))
        await connection.execute("SELECT set_config('statement_timeout', %s, false)", (milliseconds,))
        await connection.commit()

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.add(task)
        task.add_done_callback(self._forget)
        task.cancel()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.discard(task)
        # Asked for its error, so that the loop does not complain that nobody did.
        _ = task.cancelled() or task.exception()
