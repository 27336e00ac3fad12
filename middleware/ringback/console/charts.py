"""The values of the charts: calls over time as bars, and the success rate as a line. Pure."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from ringback_catalog import Disposition, RetryClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ringback.console.snapshot import Range
    from ringback.work.history import Count

MOST_CAUSES = 7
"""Causes with their own colour; the other causes share one colour."""

INTENDED, RETRYABLE, FAILED = "terminal, as intended", "retryable", "terminal, failed"


class Series(Struct, frozen=True):
    name: str
    values: tuple[int, ...]
    total: int


class Chart(Struct, frozen=True):
    """Stacked bars: for every bar a label, and a value in every series."""

    labels: tuple[str, ...]
    series: tuple[Series, ...]


class Rate(Struct, frozen=True):
    """The share of calls that ended as intended, 0 to 1; ``None`` where none ended."""

    label: str
    share: float | None
    intended: int
    ended: int


def ending(count: Count) -> str:
    """The series of a count: retryable, or terminal as intended, or terminal and failed."""
    if count.retry is RetryClass.NONE:
        return INTENDED
    return RETRYABLE if count.retry.disposition is Disposition.RETRYABLE else FAILED


def chart(
    counts: Iterable[Count], since: float, chosen: Range, named: Callable[[Count], str], order: tuple[str, ...] = ()
) -> Chart:
    """The chart of ``counts``: series in ``order``, or the greatest first and the smallest together as "other"."""
    bars = _bars(chosen, chosen.bar)
    sums: Counter[tuple[str, int]] = Counter()
    for count in counts:
        sums[named(count), int((count.at - since) // chosen.bar)] += count.count
    totals: Counter[str] = Counter()
    for (name, _), number in sums.items():
        totals[name] += number
    names = order or tuple(sorted(totals, key=lambda name: (-totals[name], name)))
    own = names if len(names) <= MOST_CAUSES + 1 else names[:MOST_CAUSES]
    series = [Series(name, tuple(sums[name, bar] for bar in range(bars)), totals[name]) for name in own]
    rest = names[len(own) :]
    if rest:
        values = tuple(sum(sums[name, bar] for name in rest) for bar in range(bars))
        series.append(Series("other", values, sum(values)))
    return Chart(tuple(_label(since + bar * chosen.bar, chosen) for bar in range(bars)), tuple(series))


def rates(counts: Iterable[Count], since: float, chosen: Range) -> tuple[Rate, ...]:
    intended: Counter[int] = Counter()
    ended: Counter[int] = Counter()
    for count in counts:
        point = int((count.at - since) // chosen.point)
        ended[point] += count.count
        intended[point] += count.count if count.retry is RetryClass.NONE else 0
    return tuple(
        Rate(_label(since + at * chosen.point, chosen), share(intended[at], ended[at]), intended[at], ended[at])
        for at in range(_bars(chosen, chosen.point))
    )


def _bars(chosen: Range, step: int) -> int:
    """How many steps the range has, with those of the last bar, which is not yet full. In seconds."""
    return (chosen.seconds + chosen.bar) // step


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _label(at: float, chosen: Range) -> str:
    return f"{datetime.fromtimestamp(at, UTC):{'%H:%M' if chosen.seconds < 86_400 else '%d %b %H:%M'}}"
