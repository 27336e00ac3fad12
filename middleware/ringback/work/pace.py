"""How fast redials are placed: the pace that a router asks for, and the lane of a store that keeps to it. Pure.

All processes that share a store share its lane. A worker takes redials from the lane, the oldest due first, as many as
:meth:`Lane.room` says, and the store writes the lane that :meth:`Lane.after` gives in the same transaction. Times are
seconds since the epoch, UTC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from ringback.core.times import SLACK
from ringback.exceptions import ConfigurationError
from ringback.settings import is_number, refuse_nothing

FASTEST = 1000.0
"""Calls a second of the fastest pace."""

LONGEST_PAUSE = 86_400.0
"""Seconds for which one answer of the service may pause the lane."""

AGAIN = 0.5
"""Seconds until a worker looks again at a lane that is full: another process may hear of the end of a call."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast one router places redials, over all contacts and over all processes that share the store.

    A store in memory is one process's, so there each process has a pace of its own.

    ``per_second``: the most redials a second. Redials that are due together, as after closed hours or an outage, are
    placed evenly at this rate and in the order in which they were due. ``in_progress``: the most redials at a time,
    each from its request until its end is reported; a call that reports nothing counts for 10 minutes, a connected one
    for 12 hours. ``None`` sets no limit. Raises :class:`ConfigurationError` for limits that cannot work.
    """

    per_second: float | None = None
    in_progress: int | None = None

    def __post_init__(self) -> None:
        rate = self.per_second
        if rate is not None and (not is_number(rate) or not 0 < rate <= FASTEST):
            raise ConfigurationError(
                f"pace: per_second {rate!r} is no rate; write calls a second up to {FASTEST:.0f}, or None for no limit"
            )
        if self.in_progress is not None:
            refuse_nothing("pace: in_progress", self.in_progress)

    @property
    def at_once(self) -> int:
        """How many redials may be placed in one moment, where the rate is limited: those of a tenth of a second."""
        return 1 if self.per_second is None else max(1, math.floor(self.per_second / 10))

    def step(self, placed: int) -> float:
        """Seconds from that many redials to the next."""
        return 0.0 if self.per_second is None else placed / self.per_second


UNPACED = Pace()


class Lane(Struct, frozen=True):
    """The rate allows another redial from ``next_at`` on, and the service allows one from ``paused_until`` on."""

    next_at: float = 0.0
    paused_until: float = 0.0

    def room(self, pace: Pace, in_progress: int, now: float) -> int | None:
        """How many redials may be placed now; ``None`` for any number."""
        if now < self.opens_at(pace, now):
            return 0
        free = None if pace.in_progress is None else max(0, pace.in_progress - in_progress)
        if pace.per_second is None:
            return free
        return pace.at_once if free is None else min(free, pace.at_once)

    def opens_at(self, pace: Pace, now: float) -> float:
        """When rate and service allow another redial. A clock that was put back makes nobody wait much longer than
        usual: a time further ahead than any is set, and :data:`~ringback.core.times.SLACK`, is of another clock.
        """
        limits = ((self.paused_until, LONGEST_PAUSE), (self.next_at, pace.step(pace.at_once)))
        return max((until for until, longest in limits if until <= now + longest + SLACK), default=0.0)

    def next_look(self, pace: Pace, due_at: float | None, now: float, *, full: bool) -> float | None:
        """When a worker looks at the lane again: when the next redial is due, the lane is open, and has room.

        ``due_at`` is the time of the next redial, ``None`` without one. ``full``: nothing could be taken just now.
        """
        if due_at is None:
            return None
        opens_at = self.opens_at(pace, now)
        return max(due_at, now + AGAIN if full and opens_at <= now else opens_at)

    def after(self, pace: Pace, placed: int, now: float) -> Lane:
        """The lane once that many redials are taken."""
        return replace(self, next_at=now + pace.step(placed)) if placed and pace.per_second is not None else self

    def paused(self, until: float) -> Lane:
        """The lane once the service has asked for a pause. A longer pause stays."""
        return replace(self, paused_until=max(self.paused_until, until))
