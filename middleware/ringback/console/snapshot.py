"""The values that the reader reads from the stores for one page, and the page's range of time. No I/O."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from ringback.core.times import HOUR
from ringback.work.items import Stats
from ringback.work.programme import Programme  # noqa: TC001 - msgspec reads the annotations
from ringback_catalog import recognized

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ringback.work.history import Count, Ended, Pair, Waiting
    from ringback.work.items import DeadLetter
    from ringback.work.selection import LetterGroup


class Range(Struct, frozen=True):
    """A range of time: the name in addresses, the title, and the seconds of the range, of a bar of the charts, and from
    one label of their axis to the next.
    """

    name: str
    title: str
    seconds: int
    bar: int
    axis: int

    @property
    def bars(self) -> int:
        """How many bars there are, with the last one, which is not yet full."""
        return self.seconds // self.bar + 1

    def since(self, now: float) -> float:
        """The beginning of the first bar, in seconds since 1970. Bars begin at full bar lengths, in UTC."""
        return math.floor(now / self.bar) * self.bar - float(self.seconds)


RANGES: Mapping[str, Range] = {
    choice.name: choice
    for choice in (
        Range("1h", "1 hour", 3600, 300, 900),
        Range("24h", "24 hours", 86_400, 3600, 10_800),
        Range("7d", "7 days", 604_800, 21_600, 86_400),
    )
}
DEFAULT = RANGES["24h"]

POINT = 300
"""Seconds: the counts that say since when something fails are of five minutes."""


class Hour(Struct, frozen=True):
    """The calls of the hour that ends with ``until``."""

    until: float
    counts: tuple[Count, ...]
    pairs: tuple[Pair, ...] = ()
    unrecognized: int = 0

    @property
    def since(self) -> float:
        return self.until - HOUR

    @property
    def ended(self) -> int:
        return sum(count.count for count in self.counts)


class Snapshot(Struct, frozen=True):
    """The calls of a range as the stores have them, with private texts.

    All calls ended before ``at``, which is a whole second that is over, so that each number stays what it is.
    ``recent`` has the calls of the last day by :data:`POINT`. ``before`` are the hours of the days before, at the same
    time of the day, in which calls ended, the latest first. ``pairs`` are the most frequent ones.
    """

    range: Range
    at: float
    since: float
    counts: tuple[Count, ...]
    pairs: tuple[Pair, ...]
    unknown: tuple[Pair, ...]
    unrecognized: int
    recent: tuple[Count, ...]
    hour: Hour
    before: tuple[Hour, ...]
    latest: tuple[Ended, ...]
    stats: Stats


class WorkSnapshot(Struct, frozen=True):
    """What waits and what was given up as the stores have it, with private texts; and the programme of a range."""

    range: Range
    at: float
    since: float
    hooks: tuple[Waiting, ...]
    redials: tuple[Waiting, ...]
    letters: tuple[DeadLetter, ...]
    groups: tuple[LetterGroup, ...]
    stats: Stats
    programme: Programme


def unrecognized(pair: Pair) -> bool:
    """The opposite of :attr:`ringback.core.outcome.Outcome.recognized`, for a pair."""
    return not recognized(pair.code, pair.subcode, pair.match)


def merged(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """The pairs of several stores as those of one store, the most frequent first."""
    found: dict[tuple[object, ...], Pair] = {}
    for pair in pairs:
        key = (pair.event, pair.code, pair.subcode, pair.match, pair.cause, pair.retry)
        known = found.get(key)
        found[key] = pair
        if known is not None:
            last_at = max(known.last_at, pair.last_at)
            found[key] = replace(pair, count=known.count + pair.count, last_at=last_at)
    return tuple(sorted(found.values(), key=_most_frequent_first))


def total(stats: Iterable[Stats]) -> Stats:
    """The figures of several stores as those of one store."""
    stats = tuple(stats)
    return Stats(
        ready=sum(one.ready for one in stats),
        running=sum(one.running for one in stats),
        done=sum(one.done for one in stats),
        dead=sum(one.dead for one in stats),
        canceled=sum(one.canceled for one in stats),
        redials=sum(one.redials for one in stats),
        oldest_due=max((one.oldest_due for one in stats), default=0.0),
        redials_in_progress=sum(one.redials_in_progress for one in stats),
        redials_paused=max((one.redials_paused for one in stats), default=0.0),
    )


def _most_frequent_first(pair: Pair) -> tuple[object, ...]:
    # The further keys keep equal pairs in one order from page to page.
    return -pair.count, -pair.last_at, pair.event, str(pair.code), str(pair.subcode), pair.match, pair.cause, pair.retry
