"""Turns: the many events of one delivery let the event loop do its other work meanwhile."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TURN = 0.01
"""Seconds for which the work on one delivery has the event loop before others have it."""


class Turns:
    """One delivery's turns of the event loop. The first begins when the object is made. ``clock`` gives seconds."""

    __slots__ = ("_clock", "_until")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = clock() + TURN

    async def next(self) -> None:
        """Lets the loop do its other work, if this turn is over."""
        if self._clock() >= self._until:
            await asyncio.sleep(0)
            self._until = self._clock() + TURN
