"""What was read from the stores for one page, and the range of time it is of. Values, no I/O."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

from ringback.stores.history import Count, Ended, Pair, Waiting
from ringback.stores.port import DeadLetter, Stats
from ringback_catalog import Match

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Range(Struct, frozen=True):
    """A choice of time: its name in addresses, its title, and the seconds of it all, of a point and of a bar.

    A point is one of the success rate, and what stores count by; a bar is one of the charts of outcomes.
    """

    name: str
    title: str
    seconds: int
    point: int
    bar: int

    def since(self, now: float) -> float:
        """Where the first bar begins. Bars begin on the clock, in UTC, so the range is a bar longer at most."""
        return math.floor(now / self.bar) * self.bar - float(self.seconds)


RANGES: Mapping[str, Range] = {
    each.name: each
    for each in (
        Range("1h", "1 hour", 3600, 300, 300),
        Range("24h", "24 hours", 86_400, 3600, 3600),
        Range("7d", "7 days", 604_800, 3600, 21_600),
    )
}
DEFAULT = RANGES["24h"]

MOST_PAIRS = 200
"""Pairs that are asked for in one question; so many different ones are an exception."""
PAIRS = 25
UNRECOGNIZED = 25
LATEST = 25
WAITING = 25
DEAD = 50
"""Rows of a table at most. The figures above the tables count all."""


class Snapshot(Struct, frozen=True):
    """Everything a page shows, as the stores have it: private texts included.

    ``unrecognized_cut``: there were more pairs of that kind than were asked for.
    """

    range: Range
    at: float
    since: float
    counts: tuple[Count, ...]
    pairs: tuple[Pair, ...]
    unrecognized: tuple[Pair, ...]
    unrecognized_cut: bool
    latest: tuple[Ended, ...]
    hooks: tuple[Waiting, ...]
    redials: tuple[Waiting, ...]
    dead: tuple[DeadLetter, ...]
    stats: Stats


def unrecognized(pair: Pair) -> bool:
    """As :attr:`ringback.outcome.Outcome.recognized` has it, the other way round."""
    if pair.code is None and pair.subcode is None:
        return False
    if pair.match is Match.CODE:
        return pair.subcode not in (None, 0)
    return pair.match in (Match.RANGE, Match.NONE)


def merged(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """The pairs of several stores as of one, the most frequent first."""
    found: dict[tuple[object, ...], Pair] = {}
    for pair in pairs:
        key = (pair.event, pair.code, pair.subcode, pair.match, pair.cause)
        known = found.get(key)
        found[key] = pair if known is None else _sum(known, pair)
    return tuple(sorted(found.values(), key=_most_frequent_first))


def total(stats: Iterable[Stats]) -> Stats:
    """The figures of several stores as of one."""
    every = tuple(stats)
    return Stats(
        ready=sum(each.ready for each in every),
        running=sum(each.running for each in every),
        done=sum(each.done for each in every),
        dead=sum(each.dead for each in every),
        canceled=sum(each.canceled for each in every),
        redials=sum(each.redials for each in every),
        oldest_due=max((each.oldest_due for each in every), default=0.0),
    )


def _most_frequent_first(pair: Pair) -> tuple[object, ...]:
    # The rest only so that equal ones do not change places from one look to the next.
    return -pair.count, -pair.last_at, pair.event, str(pair.code), str(pair.subcode), pair.match, pair.cause


def _sum(one: Pair, other: Pair) -> Pair:
    return Pair(
        one.event,
        one.code,
        one.subcode,
        one.match,
        one.cause,
        one.count + other.count,
        max(one.last_at, other.last_at),
    )
