"""The ends of calls, beside their hooks: reports each end once it has settled, and knows an end that comes again."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextvars import Context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ringback.exceptions import StoreError
from ringback.stores.memory import MemoryStore
from ringback.stores.turns import TURN, Turns
from ringback.work.call_fold import ended_leg
from ringback.work.latch import Latch, Offer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ringback.core.outcome import Outcome
    from ringback.hooks.notebook import Notebook
    from ringback.hooks.observer import Observer, StoreGauge
    from ringback.work.call_detail import EndedLeg, Traces
    from ringback.work.delivery_store import DeliveryStore


@dataclass(eq=False, slots=True)
class CallEnds:
    """Reads the record of a call that has ended, and reports it. Nothing is read where nobody listens.

    ``clock`` gives seconds since the epoch.
    """

    store: DeliveryStore
    observer: Observer
    gauge: StoreGauge | None
    notebook: Notebook
    clock: Callable[[], float]
    _arrived: deque[tuple[float, Sequence[Outcome]]] = field(default_factory=deque[tuple[float, "Sequence[Outcome]"]])
    """Outcomes that no hook waits for, with the loop's time when their ends have settled: the latch gets them then, and
    not while a sender waits."""
    _settling: deque[tuple[float, str]] = field(default_factory=deque[tuple[float, str]])
    _latch: Latch = field(default_factory=Latch)
    _loop: asyncio.AbstractEventLoop | None = None
    """The loop that has a timer for the next end."""

    async def tell(self, outcome: Outcome) -> None:
        """Reports an end at its first claim. After a fault of the store the report has the outcome alone."""
        write = self.observer.writes_ends()
        if write is None and self.gauge is None:
            return
        traces = None
        try:
            if type(self.store) is MemoryStore:
                traces = self.store.recalled(outcome)
            else:
                await self.notebook.flush()
                traces = await self.store.call(outcome.outcome_id)
        except StoreError as error:
            self.observer.store_unavailable(error)
        self._say(outcome, traces, write)

    def settle(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Reports ends that no hook waits for, ``seconds`` from now, each with its sibling. The store is in memory."""
        if not outcomes:
            return
        loop = asyncio.get_running_loop()
        due_at = loop.time() + seconds
        self._arrived.append((due_at, outcomes))
        if self._loop is None or self._loop.is_closed():
            self._loop = loop
            # A new context, because the timer outlives the request that sets it.
            loop.call_at(due_at, self._tell_settled, context=Context())

    async def settle_all(self) -> None:
        """Reports the ends that still settle, because the process ends."""
        turns = Turns()
        for _ in self._settled(math.inf):
            await turns.next()

    def _tell_settled(self) -> None:
        """Reports what has settled for a turn of the loop, and sets the next timer."""
        assert self._loop is not None
        now = self._loop.time()
        for _ in self._settled(now):
            if self._loop.time() >= now + TURN:
                self._loop.call_soon(self._tell_settled)
                return
        if waiting := self._settling or self._arrived:
            self._loop.call_at(waiting[0][0], self._tell_settled)
        else:
            self._loop = None

    def _settled(self, until: float) -> Iterator[None]:
        """Reports the ends that have settled by then, in steps between which the caller may do other work."""
        write = self.observer.writes_ends()
        if write is None and self.gauge is None:
            self._arrived.clear()
        while self._arrived:
            due_at, outcomes = self._arrived.popleft()
            for outcome in outcomes:
                # The id alone names a call: a reason that comes late ends no second call.
                key = outcome.outcome_id
                if outcome.ends_call and self._latch.offer(outcome, key) is Offer.OPENED:
                    self._settling.append((due_at, key))
            yield
        while self._settling and self._settling[0][0] <= until:
            ended = self._latch.take(self._settling.popleft()[1])
            # None: Event Grid reported the end of the whole call, and a leg has reported a better reason since.
            if ended is not None:
                assert isinstance(self.store, MemoryStore)
                self._say(ended, self.store.recalled(ended), write)
            yield

    def _say(self, outcome: Outcome, traces: Traces | None, write: Callable[[Outcome, EndedLeg], None] | None) -> None:
        leg = ended_leg(outcome, traces, self.clock())
        if write is not None:
            write(outcome, leg)
        if self.gauge is not None:
            self.gauge.call_ended(outcome, leg)


class RecentEnds:
    """Recognises redeliveries of at least the last ``capacity`` ends of calls, for an app without hooks.

    Without hooks no end has to settle. A latch would cost a delivery of 100 events a fifth more.
    """

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        # Two generations: dropping the older one as a whole costs less than dropping one key after the other.
        self._young: set[str] = set()
        self._old: set[str] = set()

    def repeated(self, outcomes: Iterable[Outcome]) -> Sequence[Outcome]:
        """The outcomes among these whose event has reported the same end of a call before."""
        again: list[Outcome] = []
        for outcome in outcomes:
            if not outcome.ends_call:
                continue
            # The id of the leg is at hand, and equals no `outcome_id`: that begins with `call:` or `event:`.
            key = f"{outcome.event.type} {outcome.event.data.call_connection_id or outcome.outcome_id}"
            if key in self._young or key in self._old:
                again.append(outcome)
                continue
            if len(self._young) == self._capacity:
                self._young, self._old = set(), self._young
            self._young.add(key)
        return again
