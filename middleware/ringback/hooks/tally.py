"""Counts how deliveries were answered, and has the store keep the counts soon: no sender waits for a count."""

from __future__ import annotations

import asyncio
import math
from contextvars import Context
from typing import TYPE_CHECKING

from ringback.core.times import MINUTE
from ringback.exceptions import StoreError
from ringback.forks import lock
from ringback.work.deliveries import Counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ringback.work.deliveries import Answer
    from ringback.work.delivery_store import DeliveryStore

PERIOD = 3.0
"""Seconds for which counts are gathered, whatever number of deliveries comes."""

PAUSE = 5.0
"""Seconds until the next attempt after a fault of the store."""

MOST = 5_000
"""Counts of a minute, result and reason that are kept while the store is away; then the oldest are lost."""


class Tally:
    """Counts for one store. ``on_fault`` is called with each fault of the store; ``clock`` gives seconds since 1970.

    A process that is killed loses the counts of its last :data:`PERIOD` seconds. Where nobody can tell whether the
    store has kept counts, the store is given these counts again. Doors in several event loops may share a tally.
    """

    def __init__(
        self, store: DeliveryStore, on_fault: Callable[[StoreError], object], clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._on_fault = on_fault
        self._clock = clock
        # Guards the counts that the store has not, and is never held across a wait.
        self._guard = lock()
        self._counts: dict[Answer, int] = {}
        self._last: dict[Answer, float] = {}
        self._since, self._until = math.inf, -math.inf
        self._pending: dict[tuple[int, Answer], Counted] = {}
        self._overdue: Sequence[Counted] = ()
        self._totals: dict[str, int] = {}
        self._writing: asyncio.Task[None] | None = None

    def count(self, answer: Answer) -> None:
        """Count one delivery. Needs a running loop."""
        now = self._clock()
        with self._guard:
            # Also after the clock was set back, or where the event loop that was to write the counts is closed.
            if not self._since <= now < self._until:
                self._begin(now)
            self._counts[answer] = self._counts.get(answer, 0) + 1
            self._last[answer] = now

    def totals(self) -> Mapping[str, int]:
        """How many deliveries were answered since the process began, by result."""
        with self._guard:
            totals = dict(self._totals)
            for (result, _), count in self._counts.items():
                totals[result] = totals.get(result, 0) + count
        return totals

    def unwritten(self) -> Sequence[Counted]:
        """What the store could not keep so far, so that this process alone knows of it."""
        return self._overdue

    async def flush(self) -> bool:
        """Has the store keep what was counted. False after a fault of the store, where the counts still wait."""
        with self._guard:
            self._end()
            counted, self._pending = self._pending, {}
        if counted:
            try:
                await self._store.count_deliveries(list(counted.values()))
            except BaseException as error:
                with self._guard:
                    for each in counted.values():
                        self._add(each)
                    self._overdue = tuple(self._pending.values())
                if not isinstance(error, StoreError):
                    raise
                self._on_fault(error)
                return False
            self._overdue = ()
        return True

    async def close(self) -> None:
        """Has the store keep what was counted, and stops trying; for the end of the app."""
        writing, self._writing = self._writing, None
        await ended(writing)
        await self.flush()

    def _begin(self, now: float) -> None:
        self._end()
        self._since, self._until = now, now + PERIOD
        # A new context, because the timer outlives the request that sets it.
        asyncio.get_running_loop().call_later(PERIOD, self._wake, context=Context())

    def _end(self) -> None:
        """Has the counts since :meth:`_begin` wait for the store, under the minute in which the counting began."""
        minute = int(self._since // MINUTE) * MINUTE if self._counts else 0
        for answer, count in self._counts.items():
            self._totals[answer[0]] = self._totals.get(answer[0], 0) + count
            self._add(Counted(minute, *answer, count, self._last[answer]))
        self._counts, self._last = {}, {}
        self._since, self._until = math.inf, -math.inf

    def _add(self, new: Counted) -> None:
        answer: Answer = new.result, new.reason
        place = new.at, answer
        old = self._pending.get(place)
        if old is not None:
            last_at = max(old.last_at, new.last_at)
            new = Counted(new.at, new.result, new.reason, old.count + new.count, last_at)
        self._pending[place] = new
        if len(self._pending) > MOST:
            del self._pending[min(self._pending)]

    def _wake(self) -> None:
        writing, loop = self._writing, asyncio.get_running_loop()
        if writing is None or writing.done() or writing.get_loop().is_closed():
            self._writing = loop.create_task(self._write(), context=Context())
        else:
            # One write at a time, so that a slow store is asked no more often than it answers.
            loop.call_later(PERIOD, self._wake, context=Context())

    async def _write(self) -> None:
        while True:
            if await self.flush():
                return
            await asyncio.sleep(PAUSE)


async def ended(writing: asyncio.Task[None] | None) -> None:
    """Cancel a task that writes, and wait until it has put back what it could not write; not for another loop's."""
    if writing is None or writing.get_loop().is_closed():
        return
    if writing.get_loop() is asyncio.get_running_loop():
        writing.cancel()
        await asyncio.wait({writing})
    else:
        writing.get_loop().call_soon_threadsafe(writing.cancel)
