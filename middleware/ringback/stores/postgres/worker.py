"""A worker that outlives the database: it runs procrastinate's worker, and starts another whenever that one ends.

A hook runs in a task of its own. When PostgreSQL goes away, procrastinate's worker ends and the hook goes on.
Ringback's worker writes the hook's settlement when PostgreSQL is back.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from procrastinate.exceptions import ProcrastinateException
from psycopg import Error

from ringback.exceptions import StoreError, StoreUnavailable
from ringback.stores.claims import FAULT_PAUSE, GRACE, ClaimLoop
from ringback.stores.postgres import claims, redials
from ringback.stores.postgres.database import Connection, read_error
from ringback.stores.postgres.faults import store_error
from ringback.stores.postgres.tasks import end, first_of
from ringback.work.items import Claim, Kind, Settlement, State, Work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from ringback.stores.postgres.entry import Entry
    from ringback.work.pace import Pace

T = TypeVar("T")


@dataclass(eq=False, kw_only=True)
class Worker:
    """Works on the items of a database until somebody stops the worker. Times are seconds, see ``PostgresStore``."""

    entry: Entry
    poll: float
    listen: bool
    pace: Pace
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _counter: Iterator[int] = field(default_factory=count)
    _owners: dict[str, str] = field(default_factory=dict[str, str])
    _held: dict[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])
    """The owners of the redials that are claimed, by key and attempt."""
    _asked_as: str | None = None
    """The owner for which redials were asked, while no answer has come."""
    _hooks: dict[asyncio.Task[None], str] = field(default_factory=dict[asyncio.Task[None], str])
    """The tasks that work on items, with the items' keys."""
    _overrun: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _owed: int = 0
    _suspect: str | None = None

    def owner_of(self, key: str) -> str | None:
        """The owner under which this worker has claimed the item of this key, if it has."""
        return self._owners.get(key)

    async def run(self, work: Work, concurrency: int) -> None:
        self._work = work
        self._slots = asyncio.Semaphore(concurrency)
        self.entry.start()
        self._redials = ClaimLoop(
            self, Kind.REDIAL, poll=self.poll, clock=self.entry.clock, on_fault=self.entry.on_fault
        )
        placing = asyncio.create_task(self._redials.run(work, concurrency), context=Context())
        try:
            await first_of(self._stopping.wait(), self._serve(concurrency))
            # `stop` waits for the same hooks, and cancels them when its time is over.
            if self._hooks:
                await asyncio.wait(self._hooks)
            await asyncio.wait({placing})
        finally:
            self.entry.pulse.stop()
            await end({*self._hooks, placing})
            await end(self._overrun)
            await self.entry.leave()

    async def stop(self, timeout: float) -> int:
        self._stopping.set()
        return sum(await asyncio.gather(self._stop_hooks(timeout), self._redials.stop(timeout)))

    async def _stop_hooks(self, timeout: float) -> int:
        if not self._hooks:
            return 0
        _, late = await asyncio.wait(self._hooks, timeout=timeout)
        for task in late:
            task.cancel()
        if late:
            # The worker waits no longer for a hook that ignores its cancellation.
            await asyncio.wait(late, timeout=GRACE)
        return len(late)

    def look_at_redials(self, due_at: float | None = None) -> None:
        """Look at the lane of redials at ``due_at``, or now."""
        self._redials.wake(due_at)

    async def claim(self, limit: int, kind: Kind) -> tuple[Sequence[Claim], float | None]:
        """Claim redials from the lane. Jobs tell of all other items."""
        assert kind is Kind.REDIAL
        worker = self.entry.id
        if worker is None:
            # The worker has no entry yet, or no more.
            return (), None
        # The same owner until the claim succeeds: PostgreSQL's answer may have been lost, and the items be claimed.
        again, owner = self._asked_as is not None, self._asked_as or f"{worker}.{next(self._counter)}"
        self._asked_as = owner
        # As with jobs: what a dead worker has left is tried one at a time.
        suspects = self._suspect is None
        self._suspect = owner if suspects else self._suspect

        def operation(connection: Connection) -> Awaitable[tuple[list[Claim], float | None]]:
            now = self.entry.clock()
            one = partial(claims.claim, connection, kind=kind, owner=owner, worker=worker, now=now)
            return redials.claim(connection, self.pace, limit, owner, worker, now, one, again=again, suspects=suspects)

        found: Sequence[Claim] = ()
        try:
            found, next_at = await self.entry.databases.do(operation)
        finally:
            self._clear("" if any(claim.crashed for claim in found) else owner)
        self._asked_as = None
        self._owners.update((claim.item.key, owner) for claim in found)
        self._held.update(((claim.item.key, claim.attempt), owner) for claim in found)
        return found, next_at

    def _clear(self, owner: str) -> None:
        self._suspect = None if self._suspect == owner else self._suspect

    async def settle(self, claim: Claim, settlement: Settlement) -> None:
        # A function that took too long may return after its claim was settled.
        owner = self._held.get((claim.item.key, claim.attempt), "")
        await self._settle(claim, owner, settlement)
        self._let_go(claim, owner)
        if settlement.state is State.READY:
            self.look_at_redials(settlement.due_at)

    async def give_back(self, claim: Claim) -> None:
        key, owner = claim.item.key, self._held[claim.item.key, claim.attempt]
        await self.entry.database.do(lambda connection: claims.give_back(connection, key, owner, self.entry.clock()))
        self._let_go(claim, owner)

    def _let_go(self, claim: Claim, owner: str) -> None:
        key = claim.item.key
        self._held.pop((key, claim.attempt), None)
        # A later attempt at the item may have another owner.
        self._owners = {each: whose for each, whose in self._owners.items() if (each, whose) != (key, owner)}
        self._clear(owner if claim.crashed else "")

    async def _serve(self, concurrency: int) -> None:
        while True:
            try:
                await self.entry.renew()
                database, times = self.entry.database, {"poll": self.poll, "lease": self.entry.lease}
                listen = self.listen and not database.pooled
                jobs = self.entry.jobs.work(database.pool, self._deliver, concurrency, listen=listen, **times)
                await first_of(jobs, self.entry.keep_house())
            except StoreUnavailable as error:
                self.entry.on_fault(error)
            except (ProcrastinateException, Error) as error:
                self.entry.on_fault(store_error(error))
            await self.entry.sleep(FAULT_PAUSE)

    async def _deliver(self, key: str) -> None:
        """Do a job: start a task for the item and wait for the task. A job that is cancelled ends well if the task has
        claimed the item, and else raises, so that the item gets another job.
        """
        # Others may have taken the item over while this worker could not reach the store, and the hook still runs here.
        earlier = [task for task, whose in self._hooks.items() if whose == key]
        if earlier:
            await asyncio.wait(earlier)
        try:
            # Functions that overran their time-outs hold places for as long as they run; another worker may have one.
            async with asyncio.timeout(self.entry.lease if self._slots.locked() else None):
                await self._slots.acquire()
        except TimeoutError:
            raise StoreUnavailable("every place of the worker is held") from None
        if self._stopping.is_set():
            self._slots.release()
            raise StoreUnavailable("the worker stops")
        owner = f"{self.entry.id}.{next(self._counter)}"
        hook = asyncio.create_task(self._work_on(key, owner), context=Context())
        self._hooks[hook] = key
        hook.add_done_callback(self._done)
        hook.add_done_callback(lambda _: self._clear(owner))
        try:
            await asyncio.shield(hook)
        except asyncio.CancelledError:
            if self._owners.get(key) != owner:
                raise

    def _done(self, task: asyncio.Task[None]) -> None:
        self._hooks.pop(task, None)
        self._overrun.discard(task)
        if self._owed:
            self._owed -= 1
        else:
            self._slots.release()
        read_error(task)

    def _follow(self, late: Awaitable[tuple[Claim, Settlement] | None], owner: str) -> None:
        """Settle when a function that took too long returns. It keeps a thread, and so its place, until then."""

        async def follow() -> None:
            if (ended := await late) is not None:
                claim, settlement = ended
                await self._settle_outcome(claim, owner, settlement)

        self._owed += 1
        task = asyncio.get_running_loop().create_task(follow(), context=Context())
        self._overrun.add(task)
        task.add_done_callback(self._done)

    async def _work_on(self, key: str, owner: str) -> None:
        claim = await self._insist(lambda: self._claim(key, owner), until=self._stopping)
        if claim is None:
            return
        self._owners[key] = owner
        try:
            settlement = await self._work(claim)
        except asyncio.CancelledError:
            await self._give_back(key, owner)
            return
        except Exception as error:
            # The work broke its contract, see :data:`Work`. At once again, it would fail as fast.
            self.entry.on_fault(error)
            settlement = Settlement(State.READY, claim.progress, due_at=self.entry.clock() + FAULT_PAUSE)
        finally:
            self._owners.pop(key, None)
        await self._settle_outcome(claim, owner, settlement)
        for late in settlement.late:
            self._follow(late, owner)

    async def _insist(self, write: Callable[[], Awaitable[T]], until: asyncio.Event | None = None) -> T:
        """Write to the store, again after every fault: what the store does not know, the next worker does again.

        Once the event ``until`` is set, a fault raises :class:`StoreError` instead.
        """
        while True:
            try:
                return await write()
            except StoreError as error:
                self.entry.on_fault(error)
                if until is not None and until.is_set():
                    raise
            await self.entry.sleep(FAULT_PAUSE)

    async def _claim(self, key: str, owner: str) -> Claim | None:
        async def claim(connection: Connection) -> Claim | None:
            now = self.entry.clock()
            some = partial(claims.claim, connection, key, Kind.OUTCOME, owner, self.entry.id, now)
            claim = await some(suspects=self._suspect == owner)
            if claim is None and self._suspect is None:
                # What a dead worker has left is tried one at a time: an item that kills its worker harms itself alone.
                self._suspect = owner
                claim = await some()
            if claim is None or not claim.crashed:
                self._clear(owner)
            if claim is None and (waits := await claims.waits(connection, key)) is not None:
                # The job came too early, because the clocks differ or this machine's was set forward and back since a
                # last look; or another item is being tried.
                due_at, theirs = waits
                self.entry.jumps.is_followed = self.entry.jumps.is_followed and due_at <= now
                self.entry.jobs.set_clock(theirs)
                again_at = max(due_at, now + (0.1 if due_at > now else self.poll))
                await self.entry.jobs.defer(connection, [(key, again_at)], now)
            return claim

        await self.entry.follow_clock()
        claimed = await self.entry.database.do(claim)
        if not self.entry.jumps.is_followed:
            await self.entry.follow_clock()
        return claimed

    async def _settle_outcome(self, claim: Claim, owner: str, settlement: Settlement) -> None:
        decided = self.entry.clock()
        await self._insist(lambda: self._settle(claim, owner, settlement.after(decided, self.entry.clock())))

    async def _settle(self, claim: Claim, owner: str, settlement: Settlement) -> None:
        async def settle(connection: Connection) -> None:
            now = self.entry.clock()
            written = await claims.settle(connection, claim, owner, settlement, now)
            if written and settlement.state is State.READY and claim.item.kind is Kind.OUTCOME:
                await self.entry.jobs.defer(connection, [(claim.item.key, settlement.due_at)], now)

        # The hook has returned: a worker that is told to stop in this moment is to record that.
        await self.entry.database.do(settle, grace=GRACE)

    async def _give_back(self, key: str, owner: str) -> None:
        async def give_back(connection: Connection) -> None:
            if await claims.give_back(connection, key, owner, self.entry.clock()):
                await self.entry.jobs.defer_now(connection, [key])

        try:
            await self.entry.database.do(give_back)
        except StoreError as error:
            # Another worker takes the item over when this worker's entry is deleted or too old.
            self.entry.on_fault(error)
