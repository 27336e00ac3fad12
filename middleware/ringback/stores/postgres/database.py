"""A pool of connections to one PostgreSQL database, which runs every operation in a transaction, for a limited time."""

from __future__ import annotations

import asyncio
import math
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, LiteralString, Self, TypeAlias, TypeVar
from urllib.parse import parse_qsl, urlsplit

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ringback.exceptions import ConfigurationError, StoreUnavailable
from ringback.settings import refuse_no_text
from ringback.stores.postgres.faults import SLOW, store_error, translated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class Connection(AsyncConnection[tuple[Any, ...]]):
    """A connection of the pool. ``pooled``: a pooler stands between the connection and the server."""

    pooled = False

    @classmethod
    async def connect(cls, conninfo: str = "", **settings: Any) -> Self:
        """A connection. ``told``, one of the settings, gets the error of one that cannot be made: the pool keeps it."""
        told: Callable[[psycopg.Error], object] = settings.pop("told")
        try:
            return await super().connect(conninfo, **settings)
        except psycopg.Error as error:
            told(error)
            raise

    async def cancel_safe(self, *, timeout: float = 30.0) -> None:
        """Ask the server to cancel what it does. Behind a pooler do not ask: psycopg then waits for the answer.

        A PgBouncer before 1.21 may end by such a request, with all its connections, see
        https://github.com/pgbouncer/pgbouncer/issues/822. Debian 12 has PgBouncer 1.18.
        """
        if not self.pooled:
            await super().cancel_safe(timeout=timeout)


Pool: TypeAlias = AsyncConnectionPool[Connection]

ISOLATION = psycopg.IsolationLevel.READ_COMMITTED
"""Whatever a database's default is: whoever has waited for a lock must see what its holder has committed."""
_TRIES = 3

# Where the database's default is that a commit does not wait for the disk, a server that crashes loses what was
# acknowledged in its last moments. Every other value waits for the disk, and perhaps for a standby.
_SET: LiteralString = """
    SELECT set_config('statement_timeout', %s, {0}), set_config(
        'synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), {0}
    )
"""
_SET_FOR_TRANSACTION = _SET.format("true").encode()
_SET_IF_UNPOOLED = (_SET.format("false") + " WHERE pg_backend_pid() = %s").encode()


def conninfo_of(url: str, timeout: float) -> str:
    """The connection string of a URL; ``timeout`` in seconds. Raises :class:`ConfigurationError` for a URL that
    PostgreSQL cannot use. The message does not repeat the URL, which may hold a password.
    """
    refuse_no_text("the store's URL", url)
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:
        raise ConfigurationError(_unknown_parameter(url) or _UNREADABLE) from None
    _refuse_torn(url)
    _refuse_values(given)
    usual: dict[str, Any] = {
        "application_name": "ringback",
        # Whatever PGCLIENTENCODING says.
        "client_encoding": "UTF8",
        "connect_timeout": max(2, math.ceil(timeout)),
        # libpq notices a server that is gone after this time, and without the setting after two hours.
        "tcp_user_timeout": math.ceil(timeout * 1000),
        "keepalives_idle": 10,
    }
    return make_conninfo("", **{**usual, **given})


_UNREADABLE = (
    "the store's URL cannot be read; write 'postgresql://<user>:<password>@host:5432/database', with %40 for '@' and "
    "%2F for '/' in the password, as urllib.parse.quote(password, safe='') does"
)


def _unknown_parameter(url: str) -> str | None:
    """The message about the URL's first parameter that PostgreSQL does not know, if there is one."""
    try:
        query = urlsplit(url).query
    except ValueError:
        return None
    given = parse_qsl(query, keep_blank_values=True)
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    # The message does not repeat the value, which may be a password under a mistyped name.
    name = next((name for name, _ in given if name not in known), None)
    if name is None or "@" in query:
        # A "?" of the password begins no parameters.
        return None
    remedy = (
        f"settings of the store are arguments: PostgresStore('postgresql://...', {name}=...)"
        if name in _SETTINGS
        else "leave it out, or see PostgreSQL's connection parameters, such as sslmode and connect_timeout"
    )
    return f"the store's URL has a parameter {name!r}, which PostgreSQL does not know; {remedy}"


def _refuse_torn(url: str) -> None:
    """Raise :class:`ConfigurationError` where libpq takes a part of the password for the host or for the database.

    The host would be looked up, and errors would quote both. The message repeats nothing.
    """
    before_parameters = url.partition("://")[2].partition("?")[0]
    if before_parameters.count("@") > 1 or "@" in before_parameters.partition("/")[2]:
        raise ConfigurationError(_UNREADABLE)


def _refuse_values(given: dict[str, Any]) -> None:
    """Raise :class:`ConfigurationError` for values that libpq would refuse at every connection."""
    # A URL may have several hosts, each with a port or none: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS
    ports = filter(None, str(given.get("port", "")).split(","))
    if not all(re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 2**16 for port in ports):
        raise ConfigurationError(
            "the store's URL has a port that is no number from 1 to 65535; write %2F for a '/' of the password"
        )
    for name, value in given.items():
        if value == "":
            continue
        if name in _WHOLE and not str(value).strip().removeprefix("-").isdecimal():
            raise ConfigurationError(f"the store's URL has {name} {value!r}, which is no whole number; give one")
        if name in _WORDS and value not in _WORDS[name]:
            raise ConfigurationError(f"the store's URL has {name} {value!r}; give one of {', '.join(_WORDS[name])}")


_SETTINGS = frozenset("lease poll pool_size timeout max_backlog keep remember remember_dead listen".split())
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_WHOLE = frozenset(
    "connect_timeout tcp_user_timeout keepalives keepalives_idle keepalives_interval keepalives_count".split()
)
_WORDS = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "gssencmode": ("disable", "prefer", "require"),
    "channel_binding": ("disable", "prefer", "require"),
}


class Database:
    """A pool of 1 to ``size`` connections; each asks ``conninfo`` for its connection string. An operation may take
    ``limit`` seconds. That includes the wait for a connection, which may take ``timeout`` seconds. ``pooled`` says that
    a pooler such as PgBouncer may give every transaction another connection of the server, so that nothing may outlive
    a transaction; the database finds such a pooler by itself as well.
    """

    def __init__(
        self, conninfo: Callable[[], Awaitable[str]], *, size: int, timeout: float, limit: float, pooled: bool = False
    ) -> None:
        self.pooled = pooled
        self._limit = limit
        self._milliseconds = str(math.ceil(limit * 1000))
        self._abandoned: set[asyncio.Task[Any]] = set()
        self._refused: str | None = None
        """Why the last connection could not be made; ``None`` if it was made."""
        self._conninfo = conninfo
        self.pool: Pool = AsyncConnectionPool(
            self._ask,
            min_size=1,
            max_size=size,
            timeout=timeout,
            # Short, so that the next operation connects anew: the pool itself waits longer after every failure.
            reconnect_timeout=min(timeout, 2.0),
            open=False,
            connection_class=Connection,
            kwargs={"told": self._hear},
            configure=self._configure,
            check=AsyncConnectionPool.check_connection,
        )

    async def open(self) -> None:
        await self.pool.open()

    async def close(self) -> None:
        await self.pool.close()

    async def do(self, operation: Callable[[Connection], Awaitable[T]], *, limits: int = 1, grace: float = 0.0) -> T:
        """The result of the operation in a transaction, again after a deadlock. Raises :class:`StoreError`.

        ``limits`` says how many times ``limit`` an operation of many statements may take, ``grace`` how many seconds it
        still has if its caller is cancelled.
        """
        limit = self._limit * limits
        task = asyncio.get_running_loop().create_task(self._attempt(operation))
        done = set[asyncio.Task[T]]()
        try:
            done, _ = await asyncio.wait({task}, timeout=limit)
        except asyncio.CancelledError:
            await asyncio.wait({task}, timeout=grace)
            raise
        finally:
            if not done:
                # Nobody waits for the task's end: psycopg cancels a query by asking the server, which may not answer.
                self._abandon(task)
        if not done:
            raise StoreUnavailable(self._with_reason(f"PostgreSQL did not do it within {limit:g} seconds"))
        return task.result()

    async def _ask(self) -> str:
        try:
            return await self._conninfo()
        except StoreUnavailable as error:
            self._refused = str(error)
            raise

    def _hear(self, error: psycopg.Error) -> None:
        self._refused = str(store_error(error))

    def _with_reason(self, text: str) -> str:
        return f"{text}; {self._refused or SLOW}"

    async def _attempt(self, operation: Callable[[Connection], Awaitable[T]]) -> T:
        with translated():
            try:
                for _ in range(_TRIES - 1):
                    with suppress(psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                        return await self._transaction(operation)
                return await self._transaction(operation)
            except PoolTimeout as error:
                late = f"PostgreSQL gave no connection within {self.pool.timeout:g} seconds"
                raise StoreUnavailable(self._with_reason(late)) from error

    async def _transaction(self, operation: Callable[[Connection], Awaitable[T]]) -> T:
        async with self.pool.connection() as connection:
            if self.pooled:
                await connection.execute(_SET_FOR_TRANSACTION, (self._milliseconds,))
            result = await operation(connection)
            _refuse_cancelled(asyncio.current_task())
            return result

    async def _configure(self, connection: Connection) -> None:
        """Limit the statements of the connection, and have its commits wait for the disk. Behind a pooler the next
        transaction may have another connection of the server: there every transaction does so for itself, and nothing
        is prepared.
        """
        self._refused = None
        await connection.set_isolation_level(ISOLATION)
        if not self.pooled:
            # A pooler gives its clients process ids of its own.
            parameters = self._milliseconds, connection.info.backend_pid
            found = await connection.execute(_SET_IF_UNPOOLED, parameters, prepare=False)
            self.pooled = await found.fetchone() is None
            await connection.commit()
        if self.pooled:
            connection.pooled = True
            connection.prepare_threshold = None

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.add(task)
        task.add_done_callback(self._forget)
        task.cancel()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.discard(task)
        read_error(task)


def _refuse_cancelled(task: asyncio.Task[Any] | None) -> None:
    """Raise :class:`asyncio.CancelledError` in a task whose cancellation was lost, so that nothing is committed that a
    caller was told has failed. Before Python 3.12 ``asyncio.wait_for``, by which a task waits for a connection,
    loses a cancellation that comes with the connection: https://github.com/python/cpython/issues/86296
    """
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def read_error(task: asyncio.Task[Any]) -> None:
    """Read the error of a task that has ended, because the event loop logs an error that nobody reads."""
    if not task.cancelled():
        task.exception()


async def changed(connection: Connection, query: LiteralString | bytes, parameters: Any) -> int:
    """The number of rows that the statement has changed."""
    return (await connection.execute(query, parameters)).rowcount
