"""How long somebody waits for a future: one timer for all who wait, since hardly one of them waits so long."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio


class Patience:
    """Ends the wait for futures that are not done after ``seconds`` with :class:`TimeoutError`. For any event loop."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._latest: _Waiting | None = None
        self._all: dict[asyncio.AbstractEventLoop, _Waiting] = {}

    def limit(self, future: asyncio.Future[Any]) -> None:
        """Wait for it no longer than that, from now on. In the loop of the future."""
        loop, waiting = future.get_loop(), self._latest
        # Mostly one loop runs in a process.
        if waiting is None or waiting.loop is not loop:
            waiting = self._latest = self._of(loop)
        futures = waiting.futures
        while futures and futures[0][1].done():
            futures.popleft()
        end = loop.time() + self.seconds
        futures.append((end, future))
        if not waiting.timed:
            waiting.time(end)

    def _of(self, loop: asyncio.AbstractEventLoop) -> _Waiting:
        if loop not in self._all:
            self._all = {each: kept for each, kept in self._all.items() if not each.is_closed()}
        return self._all.setdefault(loop, _Waiting(loop))


class _Waiting:
    """The futures of one loop, in the order in which their time is over."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.futures: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self.timed = False

    def time(self, end: float) -> None:
        """Look at that time whose wait is over."""
        self.timed = True
        self.loop.call_at(end, self._look)

    def _look(self) -> None:
        now, futures = self.loop.time(), self.futures
        while futures and (futures[0][1].done() or futures[0][0] <= now):
            _, future = futures.popleft()
            if not future.done():
                future.set_exception(TimeoutError())
        self.timed = False
        if futures:
            self.time(futures[0][0])
