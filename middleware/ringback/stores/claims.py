"""The loop of a worker: claim what is due, work on it side by side, settle; for stores that can be asked."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from ringback.exceptions import StoreError
from ringback.stores.port import Settlement, State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextvars import Context

    from ringback.stores.port import Claim, Work

FAULT_PAUSE = 1.0
"""Seconds between attempts while the store cannot be used."""

GRACE = 1.0
"""Seconds in which a cancelled hook must end."""


class Claims(Protocol):
    """What the loop asks of a store."""

    async def claim(self, limit: int) -> tuple[Sequence[Claim], float | None]:
        """Up to ``limit`` items that are due now, and when the next one will be."""
        ...

    async def settle(self, claim: Claim, settlement: Settlement) -> None: ...

    async def give_back(self, claim: Claim) -> None:
        """Make an interrupted claim ready again, marked as such."""
        ...

    def context(self, claim: Claim) -> Context:
        """The context to work in."""
        ...


class ClaimLoop:
    """Runs until it is stopped. ``poll`` is the longest time in seconds without asking the store; ``None``
    if nobody else puts items into it. With ``flush`` it ends only when nothing is due any more.
    """

    def __init__(
        self,
        store: Claims,
        *,
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
        self._runs: list[_Run] = []

    async def run(self, work: Work, concurrency: int) -> None:
        # What ran in a loop that is gone will not be heard of again.
        self._runs = [run for run in self._runs if not run.loop.is_closed()]
        run = _Run(self, work, concurrency)
        self._runs.append(run)
        try:
            while await run.turn():
                pass
        except asyncio.CancelledError:
            # Cancelled instead of stopped; what it worked on is given back all the same.
            await run.cancel()
            raise
        finally:
            if run in self._runs:
                self._runs.remove(run)
            if not run.loop.is_closed():
                run.ended.set()

    @property
    def ending(self) -> bool:
        """Whether the loop was told to end and has not yet."""
        return any(run.ending for run in self._runs)

    @property
    def working(self) -> bool:
        """Whether somebody runs it."""
        return any(not run.loop.is_closed() for run in self._runs)

    def wake(self, due_at: float | None = None) -> None:
        """Look again, now or when an item put just now will be due. May be called in another loop than :meth:`run`."""
        for run in tuple(self._runs):
            run.wake(due_at)

    async def stop(self, timeout: float) -> int:
        """End the loop; what is late is cancelled and given back. How many that were."""
        # A task that was made to run the loop may not have had its first turn.
        await asyncio.sleep(0)
        here = asyncio.get_running_loop()
        return sum(await asyncio.gather(*(run.stop(timeout) for run in self._runs if run.loop is here)))


class _Run:
    """One run of a loop, from its start to its end, in one event loop."""

    def __init__(self, owner: ClaimLoop, work: Work, concurrency: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.ending = False
        self.ended = asyncio.Event()
        self._owner = owner
        self._store = owner.store
        self._work = work
        self._concurrency = concurrency
        self._woken = asyncio.Event()
        self._working: set[asyncio.Task[None]] = set()
        self._wakes_at: float | None = None
        """When it looks again by itself, ``None`` while it looks, or cannot take more."""
        self._told = math.inf
        """The earliest time it was told of since it began to look, which may have passed that by."""
        self._late = False

    def wake(self, due_at: float | None = None) -> None:
        if due_at is not None and self._wakes_at is not None and due_at >= self._wakes_at:
            return
        if asyncio.get_running_loop() is self.loop:
            self._wake(due_at)
            return
        # Another thread's, or gone.
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._wake, due_at)

    def _wake(self, due_at: float | None) -> None:
        if due_at is not None and self._wakes_at is None:
            # Under load something is put with nearly every look: each would else be followed by one in vain.
            self._told = min(self._told, due_at)
        else:
            self._woken.set()

    async def stop(self, timeout: float) -> int:
        self.ending = True
        self._woken.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), timeout)
        late = await self.cancel()
        self._woken.set()
        return late

    async def cancel(self) -> int:
        """Cancel what still works, and wait until it is given back. How many that were."""
        # What is given back now is for the next worker.
        self._late = True
        late = [task for task in self._working if not task.done()]
        for task in late:
            task.cancel()
        if late:
            # A hook that will not be cancelled is left to its fate.
            _, deaf = await asyncio.wait(late, timeout=GRACE)
            self._working -= deaf
        return len(late)

    async def turn(self) -> bool:
        """One look at the store; false when there is nothing left to do."""
        self._woken.clear()
        self._wakes_at, self._told = None, math.inf
        room = self._concurrency - len(self._working)
        claims: Sequence[Claim] = ()
        next_at: float | None = None
        if room > 0 and (not self.ending or (self._owner.flush and not self._late)):
            try:
                claims, next_at = await self._store.claim(room)
            except StoreError as error:
                self._owner.on_fault(error)
                next_at = self._owner.clock() + FAULT_PAUSE
            if self._late:
                # Claimed while we were told that it is too late.
                await asyncio.gather(*(self._write(self._store.give_back, claim) for claim in claims))
                claims = ()
            for claim in claims:
                self._start(claim)
        if self.ending and not claims and not self._working:
            return False
        if room <= 0:
            # Until one of those that are worked on is done.
            await self._woken.wait()
        elif len(claims) < room or self.ending:
            await self._pause(math.inf if next_at is None else next_at)
        return True

    async def _pause(self, until: float) -> None:
        now, poll = self._owner.clock(), self._owner.poll
        self._wakes_at = min(until, self._told, math.inf if poll is None else now + poll)
        if self._wakes_at == math.inf:
            await self._woken.wait()
            return
        timer = self.loop.call_later(max(0.0, self._wakes_at - now), self._woken.set)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()

    def _start(self, claim: Claim) -> None:
        task = self.loop.create_task(self._work_on(claim), context=self._store.context(claim))
        self._working.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._woken.set()

    async def _work_on(self, claim: Claim) -> None:
        try:
            settlement = await self._work(claim)
        except asyncio.CancelledError:
            await self._write(self._store.give_back, claim)
            raise
        except Exception as error:
            # Against the contract. Not at once again: it would fail as fast.
            self._owner.on_fault(error)
            settlement = Settlement(State.READY, claim.progress, due_at=self._owner.clock() + FAULT_PAUSE)
        await self._write(self._store.settle, claim, settlement)

    async def _write(self, write: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """What has happened is written down as soon as the store can: forgotten, it would happen again."""
        while True:
            try:
                await write(*arguments)
            except StoreError as error:
                self._owner.on_fault(error)
                if self._late:
                    # The lease ends by itself.
                    return
                await asyncio.sleep(FAULT_PAUSE)
            else:
                return
