"""Values that many ask for at once: each is read once for all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

KEPT = 2.0
"""Seconds. A value is used again for at least so long."""
REST = 4.0
"""A value is also used again for this many times the reading time, to spare stores with many calls."""


class Shared:
    """The values by name. ``monotonic`` gives seconds, for the age of a value."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        # A value with the time until which it is used again, by name.
        self._known: dict[str, tuple[float, Any]] = {}
        self._reading: dict[str, asyncio.Task[Any]] = {}
        self._changes = 0

    async def get(self, name: str, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The value of this name, as fresh as :data:`KEPT` and :data:`REST` allow. Raises as ``read`` does."""
        known = self._known.get(name)
        if known is not None and self._monotonic() < known[0]:
            value: T = known[1]
            return value
        reading = self._reading.get(name)
        if reading is None or reading.done() or reading.get_loop() is not asyncio.get_running_loop():
            reading = asyncio.create_task(self._read(name, read))
            reading.add_done_callback(_looked_at)
            self._reading[name] = reading
        # Other requests wait for the same task, so the task goes on if the first request is cancelled.
        fresh: T = await asyncio.shield(reading)
        return fresh

    def forget(self) -> None:
        """Somebody has changed what the values were read from, and must see the change, even if another request began
        to read before the change.
        """
        self._changes += 1
        self._known.clear()
        self._reading.clear()

    async def _read(self, name: str, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        changes, began = self._changes, self._monotonic()
        value = await read()
        if changes == self._changes:
            ended = self._monotonic()
            self._known[name] = (ended + max(KEPT, REST * (ended - began)), value)
        return value


def _looked_at(reading: asyncio.Task[Any]) -> None:
    """Mark the exception as seen. Waiting requests have it; without any, asyncio would log it."""
    if not reading.cancelled():
        reading.exception()
