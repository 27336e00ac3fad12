"""The loop of a worker: claim items that are due, work on the claims side by side, settle every claim."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from contextvars import Context
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from ringback.exceptions import StoreError
from ringback.work.items import Claim, Kind, Settlement, State, Work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence


FAULT_PAUSE = 1.0
"""Seconds that a worker waits after a fault of the store."""

PURGE_EVERY = 600.0
"""Seconds between the purges of a worker, in every store that keeps items on a disk."""

GRACE = 0.5
"""Seconds that a worker waits for a hook that it has cancelled."""

# Each look at the store in memory asks for this of each run.
_is_ending = attrgetter("ending")


class Claims(Protocol):
    """What the loop calls of a store."""

    async def claim(self, limit: int, kind: Kind) -> tuple[Sequence[Claim], float | None]:
        """Claim up to ``limit`` items of this kind that are due now. Gives the claims, and when to look again if nobody
        wakes the loop, in seconds since the epoch: when the next item is due, or the lane of redials opens.
        """
        ...

    async def settle(self, claim: Claim, settlement: Settlement) -> None:
        """Write what became of a claim, whoever has the lease by then. That every hook has returned counts while the
        item is open; anything else counts unless somebody has worked on the item since.
        """
        ...

    async def give_back(self, claim: Claim) -> None:
        """Make the item of an interrupted claim ready again, and mark the item as redelivered."""
        ...


class ClaimLoop:
    """Claims and works on items of these kinds until somebody stops the loop. No kind waits for another.

    ``poll``: the most seconds between two looks at the store; ``None`` if no other process puts items into the store.
    ``flush``: a stopped loop first works on all items that are due. ``clock`` gives seconds since the epoch. The loop
    calls ``on_fault`` with every error of the store or of the work, and goes on.
    """

    def __init__(
        self,
        store: Claims,
        *kinds: Kind,
        poll: float | None,
        flush: bool = False,
        clock: Callable[[], float] = time.time,
        on_fault: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self.store = store
        self.poll = poll
        self.flush = flush
        self.clock = clock
        self.on_fault = on_fault
        self._kinds = kinds
        # Several event loops change this list, each in one step; whoever goes through it goes through a copy.
        self._runs: list[_Run] = []

    def run(self, work: Work, concurrency: int) -> Coroutine[Any, Any, None]:
        """Runs that work on at most ``concurrency`` items of each kind, to await. :meth:`stop` knows them at once."""
        # A run whose event loop is closed never ends by itself.
        for run in tuple(self._runs):
            if run.loop.is_closed():
                self._forget(run)
        runs = [_Run(self, kind, work, concurrency) for kind in self._kinds]
        self._runs.extend(runs)
        return self._side_by_side(runs)

    def _forget(self, run: _Run) -> None:
        with suppress(ValueError):
            self._runs.remove(run)

    async def _side_by_side(self, runs: Sequence[_Run]) -> None:
        works = [self._follow(run) for run in runs]
        lanes = [asyncio.get_running_loop().create_task(each) for each in works]
        try:
            await asyncio.wait(lanes, return_when=asyncio.FIRST_EXCEPTION)
        except asyncio.CancelledError:
            await _end(lanes)
            raise
        except GeneratorExit:
            # The event loop is closed. Python warns of a coroutine that nobody awaits.
            for each in works:
                each.close()
            raise
        await _end(lanes)
        for lane in lanes:
            lane.result()

    async def _follow(self, run: _Run) -> None:
        try:
            while await run.turn():
                pass
        except asyncio.CancelledError:
            # A run that is cancelled instead of stopped gives its claims back all the same.
            await run.cancel()
            raise
        finally:
            self._forget(run)
            if not run.loop.is_closed():
                run.let_go()

    @property
    def ending(self) -> bool:
        """Whether somebody has stopped the loop, and a run has not ended yet."""
        return any(map(_is_ending, tuple(self._runs)))

    @property
    def working(self) -> bool:
        """Whether the loop runs in an event loop that is open."""
        return any(not run.loop.is_closed() for run in tuple(self._runs))

    def wake(self, due_at: float | None = None, kind: Kind | None = None) -> None:
        """Look at ``due_at``, or now, for items of this kind, or of all kinds. Another event loop than that of
        :meth:`run` may call this.
        """
        for run in tuple(self._runs):
            if kind is None or run.kind is kind:
                run.wake(due_at)

    async def stop(self, timeout: float) -> int:
        """End the loop; after ``timeout`` seconds cancel the hooks that still run. Gives their number."""
        # A task that is to run the loop may not have had its first turn.
        await asyncio.sleep(0)
        here = asyncio.get_running_loop()
        end, late = here.time() + timeout, 0
        # The outcomes that are flushed may ask for redials, which are flushed as well.
        for kinds in [[kind] for kind in self._kinds] if self.flush else [self._kinds]:
            left = max(0.0, end - here.time())
            runs = [run for run in tuple(self._runs) if run.loop is here and run.kind in kinds]
            late += sum(await asyncio.gather(*(run.stop(left) for run in runs)))
        return late


async def _end(lanes: Sequence[asyncio.Task[None]]) -> None:
    for lane in lanes:
        lane.cancel()
    await asyncio.wait(lanes)


class _Run:
    """One run of a loop for one kind of item, from its start to its end, in one event loop."""

    def __init__(self, owner: ClaimLoop, kind: Kind, work: Work, concurrency: int) -> None:
        self.kind = kind
        self.loop = asyncio.get_running_loop()
        self.ending = False
        self.ended = asyncio.Event()
        self._owner = owner
        self._store = owner.store
        self._work = work
        self._concurrency = concurrency
        self._woken = asyncio.Event()
        self._working: set[asyncio.Task[None]] = set()
        self._overrun: set[asyncio.Task[None]] = set()
        """Waits for functions that took too long. Each keeps a thread, and so its place among the claims."""
        self._wakes_at: float | None = None
        """When the run looks at the store by itself; ``None`` while the run looks, or can claim no more. By the event
        loop's clock, which nobody sets.
        """
        self._due_while_looking = math.inf
        """The earliest time of the items that were put while the run looked: the look may have missed those items."""
        self._cancelled = False

    def wake(self, due_at: float | None = None) -> None:
        wakes_at = self._wakes_at
        if due_at is not None and wakes_at is not None and self.loop.time() + due_at - self._owner.clock() >= wakes_at:
            return
        if asyncio.get_running_loop() is self.loop:
            self._wake(due_at)
            return
        # The run's event loop is another thread's. It may be closed, which raises RuntimeError.
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._wake, due_at)

    def _wake(self, due_at: float | None) -> None:
        if due_at is not None and self._wakes_at is None:
            # Under load, items are put during nearly every look: a second look after every look would find nothing.
            self._due_while_looking = min(self._due_while_looking, due_at)
        else:
            self._woken.set()

    async def stop(self, timeout: float) -> int:
        self.ending = True
        self._woken.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self.ended.wait()
        late = await self.cancel()
        self._woken.set()
        return late

    def let_go(self) -> None:
        """End the waits for functions that took too long: nobody settles what they return after this."""
        for task in self._overrun:
            task.cancel()
        self.ended.set()

    async def cancel(self) -> int:
        """Cancel the tasks that still work, wait until they have given their claims back, and give their number."""
        # From now on the run claims nothing: the items that it gives back are for the next worker.
        self._cancelled = True
        late = [task for task in self._working if not task.done()]
        for task in late:
            task.cancel()
        if late:
            # The run waits no longer for a hook that ignores its cancellation.
            _, ignoring = await asyncio.wait(late, timeout=GRACE)
            self._working -= ignoring
        return len(late)

    async def turn(self) -> bool:
        """Look at the store once, and wait until the next look. False when the run has ended."""
        self._woken.clear()
        self._wakes_at, self._due_while_looking = None, math.inf
        room = self._concurrency - len(self._working) - len(self._overrun)
        claims: Sequence[Claim] = ()
        next_at: float | None = None
        if room > 0 and (not self.ending or (self._owner.flush and not self._cancelled)):
            try:
                claims, next_at = await self._store.claim(room, self.kind)
            except StoreError as error:
                self._owner.on_fault(error)
                next_at = self._owner.clock() + FAULT_PAUSE
            if self._cancelled:
                # Somebody cancelled the run while the store claimed.
                await asyncio.gather(*(self._write(self._store.give_back, claim) for claim in claims))
                claims = ()
            for claim in claims:
                self._start(claim)
        # A store that must be empty at the end waits for the places of functions that took too long.
        is_held = room <= 0 and self._owner.flush and not self._cancelled
        if self.ending and not claims and not self._working and not is_held:
            return False
        if room <= 0:
            # Until one of the tasks has ended.
            await self._woken.wait()
        elif len(claims) < room or self.ending:
            await self._pause(math.inf if next_at is None else next_at)
        return True

    async def _pause(self, until: float) -> None:
        poll, now = self._owner.poll, self.loop.time()
        due_in = min(until, self._due_while_looking) - self._owner.clock()
        self._wakes_at = now + min(due_in, math.inf if poll is None else poll)
        if self._wakes_at == math.inf:
            await self._woken.wait()
            return
        timer = self.loop.call_at(self._wakes_at, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()

    def _start(self, claim: Claim) -> None:
        # The task has no request's context: another process may have put the item, or this one hours ago.
        task = self.loop.create_task(self._work_on(claim), context=Context())
        self._working.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._overrun.discard(task)
        self._woken.set()

    async def _work_on(self, claim: Claim) -> None:
        try:
            settlement = await self._work(claim)
        except asyncio.CancelledError:
            await self._write(self._store.give_back, claim)
            raise
        except Exception as error:
            # The work broke its contract, see :data:`Work`. At once again, it would fail as fast.
            self._owner.on_fault(error)
            settlement = Settlement(State.READY, claim.progress, due_at=self._owner.clock() + FAULT_PAUSE)
        await self._write(self._settle, claim, settlement, self._owner.clock())
        for late in settlement.late:
            task = self.loop.create_task(self._follow(late), context=Context())
            self._overrun.add(task)
            task.add_done_callback(self._done)

    async def _follow(self, late: Awaitable[tuple[Claim, Settlement] | None]) -> None:
        ended = await late
        if ended is not None:
            await self._write(self._settle, *ended, self._owner.clock())

    async def _settle(self, claim: Claim, settlement: Settlement, decided: float) -> None:
        # A redial waits for a time of the day, whatever the clock is set to.
        is_outcome = self.kind is Kind.OUTCOME
        await self._store.settle(claim, settlement.after(decided, self._owner.clock()) if is_outcome else settlement)

    async def _write(self, write: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """Write to the store, again after every fault: what the store does not know, the next worker does again."""
        while True:
            try:
                await write(*arguments)
            except StoreError as error:
                self._owner.on_fault(error)
                if self._cancelled:
                    # The claim's lease ends by itself.
                    return
                await asyncio.sleep(FAULT_PAUSE)
            else:
                return
