"""The store for several machines: PostgreSQL, with procrastinate's jobs to wake the workers.

A put writes an item and its job in one transaction. The worker that fetches the job claims the item's row. The row
alone says what is to be done, so a superfluous job does nothing.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar

from ringback.core.times import DAY
from ringback.exceptions import StoreFull
from ringback.settings import refuse_for_store, refuse_no_flag, refuse_short_lease
from ringback.stores.clocks import Jumps
from ringback.stores.letters import letter_of
from ringback.stores.postgres import calls, claims, deliveries, letters, redials, retention, rows
from ringback.stores.postgres.database import Connection, conninfo_of
from ringback.stores.postgres.databases import Databases
from ringback.stores.postgres.entry import Entry
from ringback.stores.postgres.history import PostgresHistory, stats
from ringback.stores.postgres.jobs import Jobs
from ringback.stores.postgres.login import Login
from ringback.stores.postgres.worker import Worker
from ringback.stores.turns import Turns
from ringback.work.items import REMEMBER_CALLS, DeadLetter, Item, Kind, Progress, Stats, Work
from ringback.work.keys import short
from ringback.work.latch import Offer
from ringback.work.letters import Act, LetterChange, Standing
from ringback.work.pace import UNPACED, Pace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ringback.work.call_detail import Traces
    from ringback.work.contact import Change
    from ringback.work.deliveries import Counted
    from ringback.work.told import Told

T = TypeVar("T")

ROWS_A_TIMEOUT = 400
"""How many rows of one put share a ``timeout``: each row costs a way to the server and back or two. The 5,000 events of
the largest delivery have 26 s at 2 s each, and Event Grid waits 30 s for the answer."""


class PostgresStore:
    """Items in the database of ``url``; the store makes its tables if there are none. Times are in seconds.

    A worker that has not renewed its entry for ``lease`` is taken for dead, and others take over its work. ``poll`` is
    how often a worker looks for jobs that no notification announced. With ``listen`` false there are no notifications,
    and nothing outlives a transaction, as a pooler such as PgBouncer demands in transaction pooling; where the store
    finds a pooler, it does so by itself. ``password``, for a URL without one, returns the password of each new
    connection, so that a token that expires can be the password; a thread waits for it. ``timeout`` is how long a put
    of fewer than 400 items may take, the wait for one of at most ``pool_size`` connections included, and 400 more items
    as long again; other operations may take fifteen times as long, and have as many connections. A put raises
    :class:`StoreFull` when ``max_backlog`` items wait. An item that is done loses its payload after ``keep`` and its
    key after ``remember``; the store forgets dead letters after ``remember_dead``, and calls to contacts after 31 days.
    :meth:`run` calls ``on_fault`` with the faults that it survives. ``elapsed`` gives seconds that nobody sets, beside
    the wall ``clock``; leases count by PostgreSQL's.

    Raises :class:`ConfigurationError` for a URL that PostgreSQL cannot use and for settings that cannot work.
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
        listen: bool = True,
        password: Callable[[], str] | None = None,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        numbers = {"lease": lease, "poll": poll, "pool_size": pool_size, "timeout": timeout}
        for name, number in {**numbers, "max_backlog": max_backlog}.items():
            refuse_for_store(name, number)
        for name, number in (("keep", keep), ("remember", remember), ("remember_dead", remember_dead)):
            refuse_for_store(name, number, zero=True)
        refuse_no_flag("store: listen", listen)
        refuse_short_lease(lease, poll)
        self._lease = lease
        self._poll = poll
        self._max_backlog = max_backlog
        self._keep = keep
        self._remember = remember
        self._remember_dead = remember_dead
        self._listen = listen
        self._clock = clock
        self._sleep = sleep
        self._jumps = Jumps(clock, elapsed)
        self._jobs = Jobs(clock, elapsed)
        login = Login(conninfo_of(url, timeout), password)
        self._databases = Databases(
            login, size=pool_size, timeout=timeout, listen=listen, set_clock=self._jobs.set_clock
        )
        self._worker: Worker | None = None
        self.history = PostgresHistory(self._databases)
        self._waiting = 0
        self._counted_at: float | None = None
        self.on_fault: Callable[[Exception], None] = lambda _: None
        self.on_blocked: Callable[[str | None, float], None] = lambda _, __: None

    def make_no_tables(self) -> None:
        """Let :meth:`open` refuse a database that has no store: who looks into one must not make one by mistake."""
        self._databases.makes_tables = False

    async def open(self) -> None:
        await self._databases.open()

    async def close(self) -> None:
        await self._databases.close()

    async def put(self, items: Sequence[Item]) -> Sequence[Offer]:
        now, turns = self._clock(), Turns()
        put: list[dict[str, Any]] = []
        for item in items:
            put.append(rows.row_of(item, now))
            await turns.next()

        async def operation(connection: Connection) -> list[Offer]:
            await self._refuse_full(connection)
            await rows.lock_for_put(connection, put)
            known = await rows.told_of(connection, put, now)
            became = [await rows.put(connection, row) for row in put]
            await rows.note(connection, known, put, [offer for offer, _ in became], now)
            opened = [(key, row) for row, (offer, key) in zip(put, became, strict=True) if offer is Offer.OPENED]
            # Redials need no job: the workers look at their lane.
            due = [(key, row["due_at"]) for key, row in opened if row["kind"] == Kind.OUTCOME]
            await self._jobs.defer(connection, due, now)
            return [offer for offer, _ in became]

        puts = await self._databases.open_for_puts()
        offers = await puts.do(operation, limits=1 + len(put) // ROWS_A_TIMEOUT)
        self._waiting += offers.count(Offer.OPENED)
        return offers

    async def note(self, told: Sequence[Told]) -> None:
        await self._databases.do(lambda connection: calls.note(connection, told))

    async def count_deliveries(self, counted: Sequence[Counted]) -> None:
        await self._databases.do(lambda connection: deliveries.add(connection, counted))

    async def call(self, name: str) -> Traces | None:
        return await self._databases.do(lambda connection: calls.call(connection, name))

    async def hasten(self, keys: Sequence[str]) -> None:
        async def operation(connection: Connection) -> None:
            waiting = await rows.hasten(connection, [short(key) for key in keys], self._clock())
            await self._jobs.defer_now(connection, waiting)

        # As a put: the route's answer may wait for this.
        puts, _ = await self._databases.open()
        await puts.do(operation)

    async def _refuse_full(self, connection: Connection) -> None:
        """Raise :class:`StoreFull` for a full backlog, counted once a second: more work of one second does no harm."""
        now = asyncio.get_running_loop().time()
        if self._counted_at is None or now >= self._counted_at + 1.0:
            self._waiting = await rows.count_ready(connection, self._max_backlog)
            self._counted_at = now
        if self._waiting >= self._max_backlog:
            raise StoreFull(f"{self._waiting} items wait in PostgreSQL; at most that many may; see that workers run")

    async def run(self, work: Work, concurrency: int, pace: Pace = UNPACED) -> None:
        entry = Entry(
            databases=self._databases,
            jobs=self._jobs,
            lease=self._lease,
            purge=self.purge,
            clock=self._clock,
            jumps=self._jumps,
            sleep=self._sleep,
            on_fault=lambda error: self.on_fault(error),
            on_blocked=lambda task, seconds: self.on_blocked(task, seconds),
        )
        worker = self._worker = Worker(entry=entry, poll=self._poll, listen=self._listen, pace=pace)
        try:
            await worker.run(work, concurrency)
        finally:
            self._worker = None

    async def stop(self, timeout: float) -> int:
        return 0 if self._worker is None else await self._worker.stop(timeout)

    async def checkpoint(self, key: str, progress: Progress) -> bool:
        owner = self._owner_of(short(key))
        if owner is None:
            return False
        return await self._databases.do(lambda connection: claims.checkpoint(connection, short(key), owner, progress))

    def _owner_of(self, key: str) -> str | None:
        return None if self._worker is None else self._worker.owner_of(key)

    async def change(self, contact: str, step: Change[T]) -> T | None:
        async def operation(connection: Connection) -> T | None:
            made = await rows.change(connection, contact, step, self._clock(), self._owner_of)
            if made is None:
                return None
            if made.put is not None:
                due.append(made.put.due_at)
            if made.hasten:
                due.append(None)
            return made.result

        due: list[float | None] = []
        result = await self._databases.do(operation)
        for due_at in due:
            self._look_at_redials(due_at)
        return result

    async def pause_redials(self, until: float) -> None:
        await self._databases.do(lambda connection: redials.pause(connection, until - self._clock()))

    def _look_at_redials(self, due_at: float | None = None) -> None:
        if self._worker is not None:
            self._worker.look_at_redials(due_at)

    async def stats(self) -> Stats:
        return await self._databases.do(lambda connection: stats(connection, self._clock()))

    async def dead(self, limit: int = 100) -> Sequence[DeadLetter]:
        found, turns = list[DeadLetter](), Turns()
        for row in await self._databases.do(lambda connection: letters.dead(connection, limit)):
            found.append(letter_of(*row))
            await turns.next()
        return found

    async def replay(self, key: str) -> bool:
        return bool(await self.change_letters([key], LetterChange(Act.REPLAY, self._clock())))

    async def discard(self, key: str) -> bool:
        return bool(await self.change_letters([key], LetterChange(Act.DISCARD, self._clock())))

    async def change_letters(self, keys: Sequence[str], change: LetterChange) -> Sequence[str]:
        async def operation(connection: Connection) -> Sequence[str]:
            now = self._clock()
            changed = await letters.carry_out(connection, change, keys, now)
            if change.act is Act.REPLAY:
                outcomes = [(key, change.due_at) for key, kind in changed if kind is Kind.OUTCOME]
                await self._jobs.defer(connection, outcomes, now)
            return [key for key, _ in changed]

        changed = await self._databases.do(operation)
        self._look_at_redials(change.due_at)
        return changed

    async def take_back(self, change: LetterChange) -> int:
        return await self._databases.do(lambda connection: letters.take_back(connection, change, self._clock()))

    async def standing(self, change: LetterChange) -> Standing:
        return await self._databases.do(lambda connection: letters.standing_of(connection, change, self._clock()))

    async def purge(self) -> int:
        ages = self._keep, self._remember, self._remember_dead
        return await retention.purge(self._databases, self._jumps.passed(), *ages)
