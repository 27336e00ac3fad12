"""A worker that outlives the database: it runs procrastinate's worker, and starts another whenever that one ends.

A hook runs in a task of its own. When PostgreSQL goes away, procrastinate's worker ends and the hook goes on.
Ringback's worker writes the hook's settlement when PostgreSQL is back.
"""

from __future__ import annotations

import asyncio
import math
from contextvars import Context
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from procrastinate.exceptions import ProcrastinateException
from psycopg import Error

from ringback.exceptions import StoreError, StoreUnavailable
from ringback.stores.claims import FAULT_PAUSE, GRACE, ClaimLoop
from ringback.stores.clocks import jumped
from ringback.stores.postgres import claims, lane, repair
from ringback.stores.postgres.database import read_error
from ringback.stores.postgres.faults import store_error
from ringback.stores.postgres.tasks import end, first_of
from ringback.stores.pulse import Pulse
from ringback.stores.touch import Touch
from ringback.work.items import Kind, Settlement, State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from ringback.stores.clocks import Jumps
    from ringback.stores.postgres.database import Connection, Database
    from ringback.stores.postgres.jobs import Jobs
    from ringback.work.items import Claim, Work
    from ringback.work.pace import Pace

T = TypeVar("T")

_PURGE = 600.0
"""Seconds between purges."""


@dataclass(eq=False, kw_only=True)
class Worker:
    """Works on the items of a database until somebody stops the worker. Times are seconds, see ``PostgresStore``."""

    connect: Callable[[], Awaitable[Database]]
    jobs: Jobs
    lease: float
    poll: float
    listen: bool
    purge: Callable[[], Awaitable[object]]
    clock: Callable[[], float]
    jumps: Jumps
    sleep: Callable[[float], Awaitable[None]]
    on_fault: Callable[[Exception], None]
    pace: Pace
    on_blocked: Callable[[str | None, float], None]
    beat: Callable[[int], None]
    _id: int | None = None
    _set_right: bool = False
    _purged_at: float = -math.inf
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

    def __post_init__(self) -> None:
        self._touch = Touch(self.lease)
        self._in_touch = False

    async def run(self, work: Work, concurrency: int) -> None:
        self._work = work
        self._slots = asyncio.Semaphore(concurrency)
        self._pulse = Pulse(self.lease, self._renew, self.on_blocked)
        self._redials = ClaimLoop(self, Kind.REDIAL, poll=self.poll, clock=self.clock, on_fault=self.on_fault)
        redials = asyncio.create_task(self._redials.run(work, concurrency), context=Context())
        try:
            await first_of(self._stopping.wait(), self._serve(concurrency))
            # `stop` waits for the same hooks, and cancels them when its time is over.
            if self._hooks:
                await asyncio.wait(self._hooks)
            await asyncio.wait({redials})
        finally:
            self._pulse.stop()
            await end({*self._hooks, redials})
            await end(self._overrun)
            await self._leave()

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
        worker = self._id
        if worker is None:
            # The worker has no entry yet, or no more.
            return (), None
        # The same owner until the claim succeeds: PostgreSQL's answer may have been lost, and the items be claimed.
        again, owner = self._asked_as is not None, self._asked_as or f"{worker}.{next(self._counter)}"
        self._asked_as = owner
        # As with jobs: what a dead worker has left is tried one at a time.
        suspects = self._suspect is None
        self._suspect = owner if suspects else self._suspect
        claims: Sequence[Claim] = ()
        try:
            claims, next_at = await (await self.connect()).do(
                lambda connection: lane.claim(
                    connection, self.pace, limit, owner, worker, self.clock(), again=again, suspects=suspects
                )
            )
        finally:
            self._clear("" if any(claim.crashed for claim in claims) else owner)
        self._asked_as = None
        self._owners.update((claim.item.key, owner) for claim in claims)
        self._held.update(((claim.item.key, claim.attempt), owner) for claim in claims)
        return claims, next_at

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
        await self._database.do(lambda connection: claims.give_back(connection, key, owner, self.clock()))
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
                await self._beat()
                jobs = self.jobs.work(
                    self._database.pool,
                    self._deliver,
                    concurrency,
                    poll=self.poll,
                    lease=self.lease,
                    listen=self.listen and not self._database.pooled,
                )
                await first_of(jobs, self._keep_house())
            except StoreUnavailable as error:
                self.on_fault(error)
            except (ProcrastinateException, Error) as error:
                self.on_fault(store_error(error))
            await self.sleep(FAULT_PAUSE)

    async def _keep_house(self) -> None:
        """Renew the worker's entry three times within a lease, repair what dead workers have left, and purge."""
        while True:
            try:
                if self._touch.for_a_lease(await self._beat()):
                    await self._database.do(self._repair)
                now = asyncio.get_running_loop().time()
                if now >= self._purged_at + _PURGE:
                    await self.purge()
                    self._purged_at = now
            except StoreError as error:
                self.on_fault(error)
            await self.sleep(self.lease / 3)

    async def _beat(self) -> float:
        """Renew the worker's entry. Gives PostgreSQL's time."""
        in_touch, self._in_touch = self._in_touch, False
        self._database = await self.connect()
        self._id, theirs = await self._database.do(lambda connection: repair.beat(connection, self._id))
        self.jobs.set_clock(theirs)
        if not in_touch:
            self._touch.lost(theirs)
        self._touch.renewed(theirs)
        self._in_touch = True
        self._pulse.beat()
        if not self._set_right:
            await self._follow_clock()
        return theirs

    def _renew(self) -> None:
        """As :meth:`_beat` renews the entry, from the thread of the pulse."""
        if self._id is not None:
            self.beat(self._id)

    async def _follow_clock(self) -> None:
        """After the wall clock was set back, and at a start, let nothing wait for it that waits for hooks."""

        async def set_right(connection: Connection) -> int:
            due = await claims.set_right(connection, self.clock())
            await self.jobs.defer(connection, due)
            return len(due)

        jump = self.jumps.look()
        if jump or not self._set_right:
            self._set_right = False
            count = await self._database.do(set_right)
            self._set_right = True
            if jump or count:
                self.on_fault(jumped(jump, count))

    async def _repair(self, connection: Connection) -> None:
        keys = await repair.repair(connection, self.lease, self.clock())
        await self.jobs.defer(connection, [(key, None) for key in keys])

    async def _leave(self) -> None:
        worker, self._id = self._id, None
        if worker is not None:
            try:
                await self._database.do(lambda connection: repair.leave(connection, worker))
            except StoreError as error:
                self.on_fault(error)

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
            async with asyncio.timeout(self.lease if self._slots.locked() else None):
                await self._slots.acquire()
        except TimeoutError:
            raise StoreUnavailable("every place of the worker is held") from None
        if self._stopping.is_set():
            self._slots.release()
            raise StoreUnavailable("the worker stops")
        owner = f"{self._id}.{next(self._counter)}"
        hook = asyncio.create_task(self._work_on(key, owner), context=Context())
        self._hooks[hook] = key
        hook.add_done_callback(self._done)
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
            ended = await late
            if ended is not None:
                claim, settlement = ended
                await self._insist(lambda: self._settle(claim, owner, settlement))

        self._owed += 1
        task = asyncio.get_running_loop().create_task(follow(), context=Context())
        self._overrun.add(task)
        task.add_done_callback(self._done)

    async def _work_on(self, key: str, owner: str) -> None:
        try:
            await self._worked_on(key, owner)
        finally:
            self._clear(owner)

    async def _worked_on(self, key: str, owner: str) -> None:
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
            self.on_fault(error)
            settlement = Settlement(State.READY, claim.progress, due_at=self.clock() + FAULT_PAUSE)
        finally:
            self._owners.pop(key, None)
        await self._insist(lambda: self._settle(claim, owner, settlement))
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
                self.on_fault(error)
                if until is not None and until.is_set():
                    raise
            await self.sleep(FAULT_PAUSE)

    async def _claim(self, key: str, owner: str) -> Claim | None:
        async def claim(connection: Connection) -> Claim | None:
            now = self.clock()
            kind = Kind.OUTCOME
            claim = await claims.claim(connection, key, kind, owner, self._id, now, suspects=self._suspect == owner)
            if claim is None and self._suspect is None:
                # What a dead worker has left is tried one at a time: an item that kills its worker harms itself alone.
                self._suspect = owner
                claim = await claims.claim(connection, key, kind, owner, self._id, now)
            if self._suspect == owner and (claim is None or not claim.crashed):
                self._suspect = None
            waits = None if claim is not None else await claims.waits(connection, key)
            if waits is not None:
                # The clocks differ, so that the job came too early, or ours was set forward and back since a last look;
                # or another item is being tried.
                due_at, theirs = waits
                self._set_right = self._set_right and due_at <= now
                self.jobs.set_clock(theirs)
                await self.jobs.defer(connection, [(key, max(due_at, now + (0.1 if due_at > now else self.poll)))])
            return claim

        await self._follow_clock()
        claimed = await self._database.do(claim)
        if not self._set_right:
            await self._follow_clock()
        return claimed

    async def _settle(self, claim: Claim, owner: str, settlement: Settlement) -> None:
        async def settle(connection: Connection) -> None:
            written = await claims.settle(connection, claim, owner, settlement, self.clock())
            if written and settlement.state is State.READY and claim.item.kind is Kind.OUTCOME:
                await self.jobs.defer(connection, [(claim.item.key, settlement.due_at)])

        await self._database.do(settle)

    async def _give_back(self, key: str, owner: str) -> None:
        async def give_back(connection: Connection) -> None:
            if await claims.give_back(connection, key, owner, self.clock()):
                await self.jobs.defer(connection, [(key, None)])

        try:
            await self._database.do(give_back)
        except StoreError as error:
            # Another worker takes the item over when this worker's entry is deleted or too old.
            self.on_fault(error)
