"""Notes what events tell of calls beside their ends, and has the store keep it soon: no sender waits for a note."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING

from ringback.exceptions import StoreError
from ringback.hooks.tally import Tally, ended
from ringback.work.keys import short
from ringback.work.told import is_noted, told_by

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ringback.core.delivery import Event
    from ringback.core.outcome import Outcome
    from ringback.work.delivery_store import DeliveryStore
    from ringback.work.told import Told

DELAY = 0.1
"""Seconds for which notes are gathered. A call's end settles for longer, so that its line has the notes."""

PAUSE = 1.0
"""Seconds until the next attempt after a fault of the store."""

MOST = 10_000
"""Notes that are kept while the store is away; then the oldest are lost."""


class Notebook:
    """Gathers notes for one store. ``on_fault`` is called with each fault of the store; ``clock`` gives seconds.

    A process that is killed loses the notes of its last :data:`DELAY` seconds; the ends of calls are in the items.
    Where nobody can tell whether the store has kept notes, the store is given these notes again: a record knows copies.
    In memory nothing waits.
    """

    def __init__(
        self, store: DeliveryStore, on_fault: Callable[[StoreError], object], clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._on_fault = on_fault
        self._clock = clock
        self._pending: deque[Told] = deque(maxlen=MOST)
        self._writing: asyncio.Task[None] | None = None
        self._given: asyncio.Future[None] | None = None
        """Done when the store has kept the last notes that it was given, or has not."""
        self.tally = Tally(store, on_fault, clock)
        """How deliveries were answered."""

    async def note(self, events: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        """Notes the events of one delivery that tell something of a call and are no end of one."""
        noted = [event for event in events if is_noted(event.type)]
        if not noted:
            return
        told: list[Told] = []
        by_event = {id(each.event): each for each in outcomes}
        for event in noted:
            outcome = by_event.get(id(event))
            verdict = (None, None) if outcome is None else (outcome.refined_by, short(outcome.outcome_id))
            told.append(told_by(event, self._clock(), *verdict))
        if not self._store.durable:
            await self._store.note(told)
            return
        self._pending.extend(told)
        writing = self._writing
        if writing is None or writing.done() or writing.get_loop().is_closed():
            # A new context, because the task outlives the request that starts it.
            self._writing = asyncio.get_running_loop().create_task(self._write(), context=Context())

    async def flush(self) -> bool:
        """Has the store keep the notes that wait. False after a fault of the store, where they still wait.

        Waits for the notes that the store is given just now, too: whoever reads a record afterwards is to find them.
        """
        loop = asyncio.get_running_loop()
        while self._given is not None and not self._given.done() and self._given.get_loop() is loop:
            await asyncio.wait({self._given})
        told: list[Told] = []
        with suppress(IndexError):
            # Doors in several event loops may share a notebook.
            while True:
                told.append(self._pending.popleft())
        if told:
            self._given = given = loop.create_future()
            try:
                await self._store.note(told)
            except BaseException as error:
                self._pending.extendleft(reversed(told))
                if not isinstance(error, StoreError):
                    raise
                self._on_fault(error)
                return False
            finally:
                given.set_result(None)
        return True

    async def close(self) -> None:
        """Has the store keep what waits, and stops trying; for the end of the app."""
        writing, self._writing = self._writing, None
        await ended(writing)
        await self.flush()
        await self.tally.close()

    async def _write(self) -> None:
        pause = DELAY
        while self._pending:
            await asyncio.sleep(pause)
            pause = DELAY if await self.flush() else PAUSE
