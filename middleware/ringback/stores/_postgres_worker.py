"""A worker that outlives the database: runs procrastinate's, and again when it ends, and keeps house beside it.

A hook runs in a task of its own. procrastinate's worker ends when PostgreSQL goes away; the hook does not,
and what became of it is written down when PostgreSQL is back.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from procrastinate.exceptions import ProcrastinateException
from psycopg import Error

from ringback.exceptions import StoreError, StoreUnavailable
from ringback.stores import _postgres_rows as rows
from ringback.stores._postgres_jobs import QUEUE, Jobs
from ringback.stores.port import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from ringback.stores._postgres_database import Connection, Database
    from ringback.stores.port import Claim, Settlement, Work

T = TypeVar("T")

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


@dataclass(frozen=True, slots=True)
class Times:
    """In seconds; see ``PostgresStore``."""

    lease: float
    poll: float
    sweep: float
    purge: float


class Worker:
    """Works on the items of a database until it is stopped."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Database]],
        jobs: Jobs,
        times: Times,
        *,
        purge: Callable[[], Awaitable[int]],
        listen: bool,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        on_fault: Callable[[Exception], None],
    ) -> None:
        self._connect = connect
        self._jobs = jobs
        self._times = times
        self._purge = purge
        self._listen = listen
        self._clock = clock
        self._sleep = sleep
        self._on_fault = on_fault
        self._stopping = asyncio.Event()
        self._counter = count(1)
        self._id: int | None = None
        self._owners: dict[str, str] = {}
        self._hooks: dict[asyncio.Task[None], str] = {}
        self._beating = asyncio.Lock()
        self._inner: asyncio.Task[None] | None = None

    def owner_of(self, key: str) -> str | None:
        """Under what name we have claimed the item, if we have."""
        return self._owners.get(key)

    async def run(self, work: Work, concurrency: int) -> None:
        self._work = work
        self._slots = asyncio.Semaphore(concurrency)
        stopping = asyncio.ensure_future(self._stopping.wait())
        house: asyncio.Task[None] | None = None
        pause = _SHORTEST_PAUSE
        try:
            while not self._stopping.is_set():
                began = asyncio.get_running_loop().time()
                try:
                    await self._start()
                    house = house or asyncio.create_task(self._keep_house(), context=Context())
                    await self._run_inner(concurrency, stopping, house)
                except (StoreUnavailable, ProcrastinateException, Error) as error:
                    self._on_fault(error)
                if house is not None and house.done():
                    house.result()
                if asyncio.get_running_loop().time() - began > self._times.lease:
                    pause = _SHORTEST_PAUSE
                await self._wait(pause, stopping)
                pause = min(pause * 2, _LONGEST_PAUSE)
            # Who stops us waits for the hooks, and cancels them when it has waited enough.
            if self._hooks:
                await asyncio.wait(self._hooks)
        finally:
            await _end([task for task in (stopping, house, *self._hooks) if task is not None])
            await self._finish()

    async def stop(self, timeout: float) -> int:
        self._stopping.set()
        if not self._hooks:
            return 0
        _, late = await asyncio.wait(self._hooks, timeout=timeout)
        await _end(late)
        return len(late)

    async def _start(self) -> None:
        self._database = await self._connect()
        await self._jobs.open(self._database.pool, self._deliver)
        await self._beat()

    async def _run_inner(self, concurrency: int, *others: asyncio.Future[Any]) -> None:
        times = self._times
        inner = asyncio.create_task(
            self._jobs.work(concurrency, poll=times.poll, lease=times.lease, listen=self._listen), context=Context()
        )
        self._inner = inner
        try:
            await asyncio.wait({inner, *others}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._inner = None
            await _end([inner])
        if not inner.cancelled():
            inner.result()

    async def _finish(self) -> None:
        """Leave no entry behind, so that nobody need wait for our lease to end."""
        worker, self._id = self._id, None
        try:
            if worker is not None:
                await self._jobs.leave(worker)
        except StoreError as error:
            self._on_fault(error)

    async def _wait(self, seconds: float, *others: asyncio.Future[Any]) -> None:
        pause = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait({pause, *others}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end([pause])

    async def _deliver(self, key: str) -> None:
        """What a job does. Cancelled, it leaves an item that is claimed to its hook, and any other to the next job."""
        await self._slots.acquire()
        if self._stopping.is_set():
            self._slots.release()
            raise StoreUnavailable("the worker stops")
        owner = f"{self._id}.{next(self._counter)}"
        hook = asyncio.create_task(self._work_on(key, owner), context=Context())
        self._hooks[hook] = owner
        hook.add_done_callback(self._done)
        try:
            await asyncio.shield(hook)
        except asyncio.CancelledError:
            if self._owners.get(key) != owner:
                raise

    def _done(self, hook: asyncio.Task[None]) -> None:
        del self._hooks[hook]
        self._slots.release()
        if not hook.cancelled():
            # Asked for, so that the loop does not complain: the job may be gone.
            hook.exception()

    async def _work_on(self, key: str, owner: str) -> None:
        claim = await self._insist(lambda: self._claim(key, owner), until=self._stopping)
        if claim is None:
            return
        self._owners[key] = owner
        try:
            settlement = await self._work(claim)
        except asyncio.CancelledError:
            await self._give_back(claim, owner, 0.0)
        except Exception as error:
            # Against the contract; not at once again, it would fail as fast.
            self._on_fault(error)
            await self._give_back(claim, owner, self._times.lease)
        else:
            await self._insist(lambda: self._settle(claim, owner, settlement))
        finally:
            if self._owners.get(key) == owner:
                del self._owners[key]

    async def _insist(self, write: Callable[[], Awaitable[T]], until: asyncio.Event | None = None) -> T:
        """What has happened is written down as soon as the store can: forgotten, it would happen again."""
        pause = _SHORTEST_PAUSE
        while True:
            try:
                return await write()
            except StoreError as error:
                self._on_fault(error)
                if until is not None and until.is_set():
                    raise
            await self._sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _claim(self, key: str, owner: str) -> Claim | None:
        async def claim(connection: Connection) -> Claim | None:
            now = self._clock()
            claim = await rows.claim(connection, key, owner, self._id, now)
            if claim is None and (waits := await rows.waits(connection, key)):
                # A job that came too early: the clocks differ.
                due_at, theirs = waits
                self._jobs.set_clock(theirs, now)
                await self._jobs.defer(connection, [(key, max(due_at, now + _SHORTEST_PAUSE))])
            return claim

        return await self._database.do(claim)

    async def _settle(self, claim: Claim, owner: str, settlement: Settlement) -> None:
        async def settle(connection: Connection) -> None:
            written = await rows.settle(connection, claim.item, owner, settlement, self._clock())
            if written and settlement.state is State.READY:
                await self._jobs.defer(connection, [(claim.item.key, settlement.due_at)])

        await self._database.do(settle)

    async def _give_back(self, claim: Claim, owner: str, after: float) -> None:
        key, due_at = claim.item.key, self._clock() + after

        async def give_back(connection: Connection) -> None:
            if await rows.give_back(connection, key, owner, due_at):
                await self._jobs.defer(connection, [(key, due_at if after else None)])

        try:
            await self._database.do(give_back)
        except StoreError as error:
            # Our lease ends by itself.
            self._on_fault(error)

    async def _keep_house(self) -> None:
        """Say that we live, three times before it would be doubted; take over from who does not say so any more."""
        times = self._times
        step = min(times.lease / 3, times.sweep)
        swept = purged = float("inf")
        # After an outage nobody's heartbeat is fresh: all have the time of a lease to say that they live.
        in_touch = 0.0
        while True:
            try:
                await self._beat()
                if in_touch >= times.lease:
                    await self._rescue()
                if swept >= times.sweep:
                    await self._sweep()
                    swept = 0.0
                if purged >= times.purge:
                    await self._purge()
                    purged = 0.0
            except StoreError as error:
                self._on_fault(error)
                in_touch = -step
                self._restart()
            await self._sleep(step)
            in_touch, swept, purged = in_touch + step, swept + step, purged + step

    async def _beat(self) -> None:
        async with self._beating:
            if self._id is not None:
                await self._jobs.beat(self._id)
            theirs, known = await self._database.do(self._look_up_entry)
            self._jobs.set_clock(theirs, self._clock())
            if not known:
                # The first time; or we were silent for so long that our entry was removed.
                self._id = worker = await self._jobs.enlist()
                owners = list(self._hooks.values())
                await self._database.do(lambda connection: rows.keep_claims(connection, worker, owners))

    async def _look_up_entry(self, connection: Connection) -> tuple[float, bool]:
        query = """
            SELECT extract(epoch FROM clock_timestamp())::float8,
                EXISTS (SELECT FROM procrastinate_workers WHERE id = %s)
        """
        row = await (await connection.execute(query, (self._id,))).fetchone()
        assert row is not None
        return row[0], row[1]

    async def _rescue(self) -> None:
        await self._jobs.rescue(self._times.lease)

        async def take_over(connection: Connection) -> None:
            keys = await rows.take_over(connection, self._times.lease, self._clock())
            await self._jobs.defer(connection, [(key, None) for key in keys])

        await self._database.do(take_over)

    async def _sweep(self) -> None:
        """An item never stays without a job; should it be so, whatever the reason, here is another."""
        before = self._clock() - self._times.sweep

        async def sweep(connection: Connection) -> None:
            keys = await rows.forgotten(connection, QUEUE, before)
            await self._jobs.defer(connection, [(key, None) for key in keys])

        await self._database.do(sweep)

    def _restart(self) -> None:
        """procrastinate's worker does not notice if its own heartbeat fails; a new one has a new heartbeat."""
        if self._inner is not None and not self._inner.cancelling():
            self._inner.cancel()


async def _end(tasks: Collection[asyncio.Future[Any]]) -> None:
    """Cancel what still runs, and wait until it has ended."""
    for task in tasks:
        # Cancelled twice, procrastinate's worker would leave its jobs behind.
        if not task.done() and not (isinstance(task, asyncio.Task) and task.cancelling()):
            task.cancel()
    if tasks:
        await asyncio.wait(tasks)
