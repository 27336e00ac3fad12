"""The store for several machines: PostgreSQL, with procrastinate's jobs to wake the workers.

What was put and the job that announces it are one transaction. Whoever fetches the job claims the item's
row; what is done is said by the row alone, so a job too many does nothing.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

import psycopg

from ringback.exceptions import ConfigurationError, StoreFull, StoreUnavailable
from ringback.latch import Offer
from ringback.redial import Planned
from ringback.stores import _postgres_rows as rows
from ringback.stores import _postgres_schema as schema
from ringback.stores._postgres_database import Database, conninfo_of
from ringback.stores._postgres_faults import translated
from ringback.stores._postgres_history import PostgresHistory
from ringback.stores._postgres_jobs import Jobs
from ringback.stores._postgres_worker import Times, Worker
from ringback.stores.port import DAY, REMEMBER_CALLS
from ringback.stores.record import short

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import LiteralString

    from ringback.redial import Plan
    from ringback.stores._postgres_database import Connection
    from ringback.stores.port import DeadLetter, Decide, Item, Progress, Redial, Stats, Work

T = TypeVar("T")


class PostgresStore:
    """Items in the database of ``url``; its tables are made if there are none. Times in seconds.

    A worker that has not been heard of for ``lease`` is taken for dead. ``poll`` is how often jobs are
    looked for that no notification announced; with ``listen`` false none does, for a connection through
    PgBouncer. ``timeout`` is how long a put may take, the wait for one of at most ``pool_size``
    connections included; other operations may take fifteen times as long, and have as many connections.
    A put is refused with :class:`StoreFull` when ``max_backlog`` items wait. What is done loses its payload
    after ``keep``, and its key after ``remember``; dead letters and calls to contacts stay for 31 days.
    Items that were due ``sweep`` ago and have no job get one. ``on_fault`` is told of faults that
    :meth:`run` survives.
    """

    durable = True

    def __init__(
        self,
        url: str,
        *,
        lease: float = 30.0,
        poll: float = 0.5,
        pool_size: int = 4,
        timeout: float = 2.0,
        max_backlog: int = 100_000,
        keep: float = DAY,
        remember: float = 7 * DAY,
        remember_dead: float = REMEMBER_CALLS,
        sweep: float = 60.0,
        listen: bool = True,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        numbers = {"lease": lease, "poll": poll, "pool_size": pool_size, "timeout": timeout}
        for name, number in {**numbers, "max_backlog": max_backlog, "sweep": sweep}.items():
            if not number > 0:
                raise ConfigurationError(f"store: {name} {number!r} is not positive")
        if not lease > 3 * poll:
            raise ConfigurationError(
                f"store: lease {lease!r} is too short for poll {poll!r}; make it several times longer"
            )
        self._conninfo = conninfo_of(url, timeout)
        self._pool_size = pool_size
        self._timeout = timeout
        self._max_backlog = max_backlog
        self._keep = keep
        self._remember = remember
        self._remember_dead = remember_dead
        self._listen = listen
        self._clock = clock
        self._sleep = sleep
        self._times = Times(lease=lease, poll=poll, sweep=sweep, purge=600.0)
        self._opening = asyncio.Lock()
        self._jobs = Jobs()
        self._databases: tuple[Database, Database] | None = None
        self._worker: Worker | None = None
        self.history = PostgresHistory(self._do)
        self._waiting = 0
        self._counted_at: float | None = None
        self.on_fault: Callable[[Exception], None] = _ignore

    async def open(self) -> None:
        await self._opened()

    async def _opened(self) -> tuple[Database, Database]:
        """For puts, which are to fail soon; and for all else, so that many puts do not keep workers from their work."""
        async with self._opening:
            self._databases = self._databases or await self._connected()
            return self._databases

    async def _connected(self) -> tuple[Database, Database]:
        await self._prepare()
        databases = self._database(self._timeout), self._database(self._timeout * 15)
        for database in databases:
            await database.open()
        return databases

    async def _prepare(self) -> None:
        try:
            async with asyncio.timeout(self._timeout * 15):
                with translated():
                    # Not the pool's: that does not say why it cannot connect.
                    async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                        await schema.prepare(connection)
                        found = await connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
                        for (theirs,) in await found.fetchall():
                            self._jobs.set_clock(theirs, self._clock())
        except TimeoutError as error:
            raise StoreUnavailable(f"PostgreSQL did not answer within {self._timeout * 15:g} seconds") from error

    async def close(self) -> None:
        async with self._opening:
            databases, self._databases = self._databases or (), None
            for database in databases:
                await database.close()

    async def put(self, items: Sequence[Item]) -> Sequence[Offer]:
        now = self._clock()
        put = [rows.row_of(item, now) for item in items]

        async def operation(connection: Connection) -> list[Offer]:
            await self._refuse_full(connection)
            await rows.lock_for_put(connection, put)
            offers = [await rows.put(connection, row) for row in put]
            opened = [(row["key"], row["due_at"]) for row, offer in zip(put, offers, strict=True) if _new(offer)]
            await self._jobs.defer(connection, opened)
            return offers

        try:
            async with asyncio.timeout(self._timeout):
                puts, _ = await self._opened()
        except TimeoutError as error:
            raise StoreUnavailable(f"PostgreSQL did not answer within {self._timeout:g} seconds") from error
        offers = await puts.do(operation)
        self._waiting += sum(map(_new, offers))
        return offers

    async def _refuse_full(self, connection: Connection) -> None:
        """Count once a second at most: a limit that is passed by a second's work of others does no harm."""
        now = asyncio.get_running_loop().time()
        if self._counted_at is None or now >= self._counted_at + 1.0:
            self._waiting = await rows.count_ready(connection, self._max_backlog)
            self._counted_at = now
        if self._waiting >= self._max_backlog:
            raise StoreFull(f"{self._waiting} items wait in PostgreSQL; at most that many may; see that workers run")

    async def run(self, work: Work, concurrency: int) -> None:
        worker = self._worker = Worker(
            self._for_work,
            self._jobs,
            self._times,
            purge=self.purge,
            listen=self._listen,
            clock=self._clock,
            sleep=self._sleep,
            on_fault=lambda error: self.on_fault(error),
        )
        try:
            await worker.run(work, concurrency)
        finally:
            self._worker = None

    async def _for_work(self) -> Database:
        _, others = await self._opened()
        return others

    async def stop(self, timeout: float) -> int:
        return 0 if self._worker is None else await self._worker.stop(timeout)

    async def checkpoint(self, key: str, progress: Progress) -> bool:
        owner = None if self._worker is None else self._worker.owner_of(short(key))
        if owner is None:
            return False
        return await self._do(lambda connection: rows.checkpoint(connection, short(key), owner, progress))

    async def plan(self, redial: Redial, decide: Decide) -> Plan | None:
        async def operation(connection: Connection) -> Plan | None:
            plan = await rows.plan(connection, redial, decide, self._clock())
            if isinstance(plan, Planned):
                await self._jobs.defer(connection, [(short(redial.item.key), plan.at)])
            return plan

        return await self._do(operation)

    async def cancel(self, contact: str, leg: str | None = None) -> int:
        return await self._do(lambda connection: rows.cancel(connection, contact, leg, self._clock()))

    async def stats(self) -> Stats:
        return await self._do(lambda connection: rows.stats(connection, self._clock()))

    async def dead(self, limit: int = 100) -> Sequence[DeadLetter]:
        return await self._do(lambda connection: rows.dead(connection, limit))

    async def replay(self, key: str) -> bool:
        async def operation(connection: Connection) -> bool:
            replayed = await rows.replay(connection, short(key), self._clock())
            if replayed:
                await self._jobs.defer(connection, [(short(key), None)])
            return replayed

        return await self._do(operation)

    async def discard(self, key: str) -> bool:
        return await self._do(lambda connection: rows.discard(connection, short(key)))

    async def purge(self) -> int:
        now, count = self._clock(), 0
        steps: list[tuple[LiteralString, float]] = [
            (rows.FORGET_PAYLOADS, self._keep),
            (rows.FORGET_KEYS, self._remember),
            (rows.FORGET_DEAD, self._remember_dead),
            (rows.FORGET_CALLS, REMEMBER_CALLS),
        ]
        for statement, age in steps:
            while changed := await self._do(_forget(statement, now - age)):
                count += changed
        return count

    def _database(self, limit: float) -> Database:
        return Database(self._conninfo, size=self._pool_size, timeout=self._timeout, limit=limit)

    async def _do(self, operation: Callable[[Connection], Awaitable[T]]) -> T:
        _, others = await self._opened()
        return await others.do(operation)


def _new(offer: Offer) -> bool:
    return offer is Offer.OPENED


def _forget(statement: LiteralString, before: float) -> Callable[[Connection], Awaitable[int]]:
    async def operation(connection: Connection) -> int:
        return (await connection.execute(statement, {"before": before})).rowcount

    return operation


def _ignore(_: Exception) -> None:
    """Nobody asked."""
