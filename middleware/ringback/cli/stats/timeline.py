"""Counts over time in a bounded number of buckets, whose width grows with the time that a log covers. Pure."""

from __future__ import annotations

from itertools import chain, count
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct

from ringback.core.times import DAY, HOUR, MINUTE

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

K = TypeVar("K", bound="Hashable")

MOST_BUCKETS = 1024
"""Buckets that a timeline keeps. With more buckets, the timeline merges neighbours."""

_WIDTHS = (
    *(1, 2, 5, 10, 15, 20, 30),
    *(width * MINUTE for width in (1, 2, 5, 10, 15, 20, 30)),
    *(width * HOUR for width in (1, 2, 3, 4, 6, 8, 12)),
    *(width * DAY for width in (1, 2, 7, 14, 28)),
)
"""Widths in seconds that a person reads at a glance."""


class Columns(Struct, Generic[K], frozen=True):
    """Counts to draw: ``counts[key][i]`` counts the ``seconds`` from ``start + i * seconds`` on."""

    seconds: int
    start: int
    counts: dict[K, list[int]]


class Timeline(Generic[K]):
    """Counts keys over time. Times are seconds since 1970, in any order."""

    def __init__(self, most: int = MOST_BUCKETS) -> None:
        self._most = most
        self._width = 1
        self._buckets: dict[int, dict[K, int]] = {}

    def add(self, key: K, second: float) -> None:
        bucket = self._buckets.setdefault(int(second // self._width), {})
        bucket[key] = bucket.get(key, 0) + 1
        while len(self._buckets) > self._most:
            self._coarsen()

    def columns(self, most: int) -> Columns[K]:
        """At most ``most`` columns, of a width that a person can name; no columns if nothing was counted."""
        if not self._buckets:
            return Columns(self._width, 0, {})
        lowest, highest = min(self._buckets) * self._width, max(self._buckets) * self._width
        seconds = next(width for width in _wider(self._width) if highest // width - lowest // width < most)
        first = lowest // seconds
        length = highest // seconds - first + 1
        counts: dict[K, list[int]] = {}
        for index, bucket in self._buckets.items():
            column = index * self._width // seconds - first
            for key, number in bucket.items():
                counts.setdefault(key, [0] * length)[column] += number
        return Columns(seconds, first * seconds, counts)

    def _coarsen(self) -> None:
        narrow = self._width
        # The first width is the present width.
        self._width = next(width for width in _wider(narrow) if width > narrow)
        merged: dict[int, dict[K, int]] = {}
        for index, bucket in self._buckets.items():
            into = merged.setdefault(index * narrow // self._width, {})
            for key, number in bucket.items():
                into[key] = into.get(key, 0) + number
        self._buckets = merged


def _wider(width: int) -> Iterator[int]:
    """Endless widths that whole buckets of ``width`` fill, from the narrowest on."""
    doubled = (_WIDTHS[-1] * 2**power for power in count(1))
    return (wider for wider in chain(_WIDTHS, doubled) if wider % width == 0)
