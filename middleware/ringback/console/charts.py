"""The values of the charts: calls over time as stacked bars, and the success rate as a line. Pure.

A template draws them as SVG. Positions are shares of the width and of the height, in per cent, from the top left. Times
are in seconds since 1970. A ``label`` is empty for a bar or a point without a place on the axis.
"""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ringback.console.colours import ENDINGS, FAILED, INTENDED, RETRYABLE
from ringback.console.filters import address
from ringback_catalog import Disposition, RetryClass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ringback.console.snapshot import Range
    from ringback.work.history import Count

HEADROOM = 1.05
"""The highest bar leaves a little room above."""


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


def by_ending(counts: Iterable[Count], since: float, until: float, chosen: Range) -> dict[str, Any]:
    """The calls by disposition, as stacked bars: the series from the bottom up, the bars from the left."""
    return _chart(counts, (since, until), chosen, ending, ENDINGS, lambda name: CONDITIONS[name])


def by_cause(counts: Iterable[Count], since: float, until: float, chosen: Range) -> dict[str, Any]:
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
) -> dict[str, Any]:
    since, until = span
    sums: Counter[tuple[str, int]] = Counter()
    for count in counts:
        sums[named(count), int((count.at - since) // chosen.bar)] += count.count
    bars = chosen.bars
    totals = [sum(sums[name, bar] for name in names) for bar in range(bars)]
    top = max([1, *totals]) * HEADROOM

    def made(number: int) -> dict[str, Any]:
        began, ended = since + number * chosen.bar, min(since + (number + 1) * chosen.bar, until)
        pieces: list[dict[str, Any]] = []
        above = 100.0
        for name in names:
            if (found := sums[name, number]) > 0:
                height = 100 * found / top
                above -= height
                link = address({**conditions(name), "since": began, "until": ended})
                place = {"y": round(above, 2), "height": round(height, 2)}
                pieces.append({"name": name, "count": found, "link": link, **place})
        return {
            "since": began,
            "until": ended,
            **_label(began, chosen),
            "x": round((100 * number + 10) / bars, 3),
            "middle": round((100 * number + 50) / bars, 3),
            "width": round(80 / bars, 3),
            "total": totals[number],
            "link": address({**_shared(map(conditions, names)), "since": began, "until": ended}),
            "pieces": pieces,
        }

    def series(name: str) -> dict[str, Any]:
        link = address({**conditions(name), "since": since, "until": until})
        return {"name": name, "total": sum(sums[name, bar] for bar in range(bars)), "link": link}

    return {"series": list(map(series, names)), "bars": list(map(made, range(bars))), "ticks": _ticks(top)}


def rates(counts: Iterable[Count], since: float, until: float, chosen: Range) -> list[dict[str, Any]]:
    """The success rate by bar, 0 to 1; ``None`` where no call ended. ``joined``: a line leads here from the point
    ``before``.
    """
    intended: Counter[int] = Counter()
    ended: Counter[int] = Counter()
    for count in counts:
        point = int((count.at - since) // chosen.bar)
        ended[point] += count.count
        intended[point] += count.count if count.retry is RetryClass.NONE else 0

    def place(number: int) -> tuple[float, float]:
        height = (share_of(intended[number], ended[number]) or 0.0) / HEADROOM
        return round(100 * (number + 0.5) / chosen.bars, 3), round(100 - 100 * height, 2)

    def made(number: int) -> dict[str, Any]:
        began, (middle, y) = since + number * chosen.bar, place(number)
        times = {"since": began, "until": min(began + chosen.bar, until)}
        return {
            "since": began,
            **_label(began, chosen),
            "share": share_of(intended[number], ended[number]),
            "intended": intended[number],
            "ended": ended[number],
            "middle": middle,
            "y": y,
            "joined": ended[number] > 0 and ended[number - 1] > 0,
            "before": place(number - 1),
            "link": address(times),
            "intended_link": address({"intended": True, **times}),
        }

    return list(map(made, range(chosen.bars)))


def _tick(y: float, text: str) -> dict[str, Any]:
    """A line across, and what is written at it."""
    return {"y": round(y, 2), "text": text}


RATE_TICKS = [_tick(100 - 100 * share / HEADROOM, f"{share:.0%}") for share in (0, 0.5, 1)]


def share_of(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _shared(conditions: Iterable[Mapping[str, object]]) -> Mapping[str, object]:
    """What all series of a chart have in common."""
    found = list(conditions)
    if not found:
        return {}
    return {name: value for name, value in found[0].items() if all(each.get(name) == value for each in found)}


def _ticks(top: float) -> list[dict[str, Any]]:
    """Whole numbers at even steps of 1, 2 or 5 and noughts, four at most."""
    step = 1
    while top / step > 4:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return [_tick(100 - 100 * number / top, f"{number:,}") for number in range(0, math.ceil(top), step)]


def _label(at: float, chosen: Range) -> dict[str, Any]:
    """What stands below the bar of this time, and whether it stands there on a narrow page, too."""
    time = datetime.fromtimestamp(at, UTC)
    seconds = int(at) // chosen.bar * chosen.bar
    if seconds % chosen.axis:
        return {"label": "", "major": False}
    label = f"{time:{'%d %b' if chosen.axis >= 86_400 else '%H:%M'}}"
    return {"label": label, "major": seconds % (2 * chosen.axis) == 0}
