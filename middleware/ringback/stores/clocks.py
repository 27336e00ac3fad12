"""Clocks that nobody sets, and what the wall clock does beside them, which somebody or a time server may set."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from ringback.core.times import SLACK
from ringback.exceptions import ClockJumped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Boot(Struct, frozen=True):
    """Since when a machine runs, for all its processes alike. ``clock`` gives seconds since then.

    ``id`` names the boot. Without a name ``clock`` is the wall clock: nobody could tell the times of two boots apart.
    """

    id: str
    clock: Callable[[], float]

    @classmethod
    def here(cls, wall: Callable[[], float], file: str = "/proc/sys/kernel/random/boot_id") -> Boot:
        """This machine's boot. A wall clock of one's own, as tests have, counts by itself."""
        if wall is not time.time:
            return cls("", wall)
        try:
            return cls(Path(file).read_text("ascii")[:8], since_boot)
        except OSError:
            # Only Linux names its boots.
            return cls("", wall)


def since_boot() -> float:
    """Seconds since the machine booted, with the time that it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def measure_of(wall: Callable[[], float]) -> Callable[[], float]:
    """What tells whether the wall clock was set. A wall clock of one's own, as tests have, is its own measure."""
    return time.monotonic if wall is time.time else wall


class Jumps:
    """Tells when the wall clock has been set. ``elapsed`` gives seconds that nobody sets."""

    __slots__ = ("_elapsed", "_first", "_last", "_wall", "is_followed")

    def __init__(self, wall: Callable[[], float], elapsed: Callable[[], float] | None = None) -> None:
        self._wall, self._elapsed = wall, elapsed or measure_of(wall)
        self._first = self._last = self._wall() - self._elapsed()
        self.is_followed = False
        """Whether all that waits for hooks waits by the clock as it is set now, as far as the worker knows."""

    async def follow(self, set_right: Callable[[], Awaitable[int]], on_fault: Callable[[Exception], None]) -> None:
        """After the wall clock was set back, and at a start, let no outcome wait until the clock has caught up.

        ``set_right`` makes the store's outcomes due as they were before, and gives their number.
        """
        jump = self.look()
        if jump or not self.is_followed:
            self.is_followed = False
            count = await set_right()
            self.is_followed = True
            if jump or count:
                on_fault(jumped(jump, count))

    def look(self) -> float:
        """Seconds by which the wall clock has been set since the last look, negative for back; 0 as a rule."""
        now = self._wall() - self._elapsed()
        jump, self._last = now - self._last, now
        return jump if abs(jump) > SLACK else 0.0

    def passed(self) -> float:
        """The wall clock's time, or less: the time that it would show if nobody had set it forward."""
        wall = self._wall()
        ahead = wall - self._elapsed() - self._first
        return wall - ahead if ahead > SLACK else wall


def jumped(jump: float, count: int) -> ClockJumped:
    """What is told of a jump by so many seconds, after which ``count`` items were made due as they were before."""
    how = f"was set {'forward' if jump > 0 else 'back'} by {abs(jump):.0f} s" if jump else "was set back earlier"
    return ClockJumped(f"the wall clock {how}; outcomes whose hooks it would have held up: {count}", jump, count)
