"""The values of the charts: calls over time as stacked bars, and the success rate as a line. Pure.

A template draws them as SVG. Positions are shares of the width and of the height, in per cent, from the top left.
"""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from ringback.console.colours import ENDINGS, FAILED, INTENDED, RETRYABLE
from ringback.console.filters import address
from ringback_catalog import Disposition, RetryClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ringback.console.snapshot import Range
    from ringback.work.history import Count

HEADROOM = 1.05
"""The highest bar leaves a little room above."""


class Piece(Struct, frozen=True):
    """A part of a bar, with the calls of one series."""

    name: str
    count: int
    y: float
    height: float
    link: str


class Bar(Struct, frozen=True):
    """The calls that ended from ``since`` until ``until``, seconds since 1970 as all times of a page are. ``label`` is
    empty for a bar without a place on the axis.
    """

    since: float
    until: float
    label: str
    major: bool
    x: float
    middle: float
    width: float
    total: int
    link: str
    pieces: tuple[Piece, ...]


class Tick(Struct, frozen=True):
    """A line across, and what is written at it."""

    y: float
    text: str


class Series(Struct, frozen=True):
    name: str
    total: int
    link: str


class Chart(Struct, frozen=True):
    """Stacked bars: the series from the bottom up, the bars from the left."""

    series: tuple[Series, ...]
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]


class Rate(Struct, frozen=True):
    """The share of calls that ended as intended, 0 to 1; ``None`` where none ended. ``joined``: a line leads here from
    the point ``before``.
    """

    since: float
    label: str
    major: bool
    share: float | None
    intended: int
    ended: int
    middle: float
    y: float
    joined: bool
    before: tuple[float, float]
    link: str
    intended_link: str


def ending(count: Count) -> str:
    """The series of a count: retryable, or terminal as intended, or terminal and failed."""
    if count.retry is RetryClass.NONE:
        return INTENDED
    return RETRYABLE if count.retry.disposition is Disposition.RETRYABLE else FAILED


CONDITIONS: Mapping[str, Mapping[str, object]] = {
    INTENDED: {"intended": True},
    RETRYABLE: {"disposition": "retryable", "intended": False},
    FAILED: {"disposition": "terminal", "intended": False},
}
"""What the calls of a series of dispositions meet."""


def by_ending(counts: Iterable[Count], since: float, until: float, chosen: Range) -> Chart:
    """The calls by disposition."""
    return _chart(counts, (since, until), chosen, ending, ENDINGS, lambda name: CONDITIONS[name])


def by_cause(counts: Iterable[Count], since: float, until: float, chosen: Range) -> Chart:
    """The calls that did not end as intended by their cause, the most frequent at the bottom."""
    failed = [count for count in counts if count.retry is not RetryClass.NONE]
    totals: Counter[str] = Counter()
    for count in failed:
        totals[count.cause.value] += count.count
    names = tuple(sorted(totals, key=lambda name: (-totals[name], name)))
    return _chart(
        failed,
        (since, until),
        chosen,
        lambda count: count.cause.value,
        names,
        lambda name: {"cause": name, "intended": False},
    )


def _chart(
    counts: Iterable[Count],
    span: tuple[float, float],
    chosen: Range,
    named: Callable[[Count], str],
    names: Sequence[str],
    conditions: Callable[[str], Mapping[str, object]],
) -> Chart:
    since, until = span
    sums: Counter[tuple[str, int]] = Counter()
    for count in counts:
        sums[named(count), int((count.at - since) // chosen.bar)] += count.count
    bars = chosen.bars
    totals = [sum(sums[name, bar] for name in names) for bar in range(bars)]
    top = max([1, *totals]) * HEADROOM

    def made(number: int) -> Bar:
        began, ended = since + number * chosen.bar, min(since + (number + 1) * chosen.bar, until)
        pieces: list[Piece] = []
        above = 100.0
        for name in names:
            if (found := sums[name, number]) > 0:
                height = 100 * found / top
                above -= height
                link = address({**conditions(name), "since": began, "until": ended})
                pieces.append(Piece(name, found, round(above, 2), round(height, 2), link))
        label, major = _label(began, chosen)
        link = address({**_shared(map(conditions, names)), "since": began, "until": ended})
        x, middle, width = (round(each / bars, 3) for each in (100 * number + 10, 100 * number + 50, 80))
        return Bar(began, ended, label, major, x, middle, width, totals[number], link, tuple(pieces))

    def series(name: str) -> Series:
        link = address({**conditions(name), "since": since, "until": until})
        return Series(name, sum(sums[name, bar] for bar in range(bars)), link)

    return Chart(tuple(map(series, names)), tuple(map(made, range(bars))), _ticks(top))


def rates(counts: Iterable[Count], since: float, until: float, chosen: Range) -> tuple[Rate, ...]:
    """The success rate by bar."""
    intended: Counter[int] = Counter()
    ended: Counter[int] = Counter()
    for count in counts:
        point = int((count.at - since) // chosen.bar)
        ended[point] += count.count
        intended[point] += count.count if count.retry is RetryClass.NONE else 0

    def place(number: int) -> tuple[float, float]:
        height = (share_of(intended[number], ended[number]) or 0.0) / HEADROOM
        return round(100 * (number + 0.5) / chosen.bars, 3), round(100 - 100 * height, 2)

    def made(number: int) -> Rate:
        began = since + number * chosen.bar
        label, major = _label(began, chosen)
        share = share_of(intended[number], ended[number])
        times = {"since": began, "until": min(began + chosen.bar, until)}
        return Rate(
            began,
            label,
            major,
            share,
            intended[number],
            ended[number],
            *place(number),
            ended[number] > 0 and ended[number - 1] > 0,
            place(number - 1),
            address(times),
            address({"intended": True, **times}),
        )

    return tuple(map(made, range(chosen.bars)))


RATE_TICKS = tuple(Tick(round(100 - 100 * share / HEADROOM, 2), f"{share:.0%}") for share in (0, 0.5, 1))


def share_of(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _shared(conditions: Iterable[Mapping[str, object]]) -> Mapping[str, object]:
    """What all series of a chart have in common."""
    found = list(conditions)
    return (
        {name: value for name, value in found[0].items() if all(each.get(name) == value for each in found)}
        if (found)
        else {}
    )


def _ticks(top: float) -> tuple[Tick, ...]:
    """Whole numbers at even steps of 1, 2 or 5 and noughts, four at most."""
    step = 1
    while top / step > 4:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return tuple(Tick(round(100 - 100 * number / top, 2), f"{number:,}") for number in range(0, math.ceil(top), step))


def _label(at: float, chosen: Range) -> tuple[str, bool]:
    """What stands below the bar of this time, and whether it stands there on a narrow page, too."""
    time = datetime.fromtimestamp(at, UTC)
    seconds = int(at) // chosen.bar * chosen.bar
    if seconds % chosen.axis:
        return "", False
    return f"{time:{'%d %b' if chosen.axis >= 86_400 else '%H:%M'}}", seconds % (2 * chosen.axis) == 0
