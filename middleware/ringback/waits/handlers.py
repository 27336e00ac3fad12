"""The handlers of single calls: each gets the events of its call, one at a time."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING

from ringback import logs
from ringback.exceptions import WaitError
from ringback.hooks.invoke import called
from ringback.hooks.signatures import handler_name
from ringback.hooks.threads import Threads
from ringback.waits.backlog import Answer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ringback.core.events import Event
    from ringback.waits.backlog import Arrival, Wanted

_THREADS = Threads(64, "ringback-handler")
"""For sync handlers of one call: no check of a sender waits for one that hangs."""


class EventTask:
    """A handler with the events that it has not seen yet, at most ``most``. The handler gets one event at a time."""

    def __init__(
        self,
        wanted: Wanted,
        function: Callable[[Event], object],
        loop: asyncio.AbstractEventLoop,
        most: int,
        running: set[asyncio.Task[None]],
    ) -> None:
        self._wanted = wanted
        self._function = function
        self._loop = loop
        self._most = most
        self._running = running
        self._pending: deque[Event] = deque()
        self._runs = False

    @property
    def name(self) -> str:
        return handler_name(self._function)

    def calls(self, function: object) -> bool:
        # Python makes a new bound method at each access, so `is` would find no method.
        return bool(self._function == function)

    def stop(self) -> None:
        """Drops the events that the handler has not seen yet."""
        self._pending.clear()

    def offer(self, arrival: Arrival) -> None:
        """Queues the event if the handler wants it. Logs what the predicate raises, and a full queue; never raises."""
        try:
            if self._wanted.answer(arrival.event) is not Answer.WANTED:
                return
            if len(self._pending) == self._most:
                raise WaitError(f"the handler is {self._most} events behind; {arrival.event.name} is not handed to it")
        except Exception as error:
            logs.listeners_failed([(self.name, error)])
            return
        self._pending.append(arrival.event)
        # The handler is gone if its loop is closed.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        if self._runs:
            return
        self._runs = True
        # A new context, because the task outlives the request that starts it.
        task = self._loop.create_task(self._run(), context=Context())
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self) -> None:
        try:
            while self._pending:
                await self._call(self._pending.popleft())
        finally:
            self._runs = False

    async def _call(self, event: Event) -> None:
        try:
            with logs.bound_ids([event]):
                await called(self._function, (event,), threads=_THREADS)
        except Exception as error:
            logs.listeners_failed([(self.name, error)])
