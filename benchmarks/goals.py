"""The goals, and whether a run has reached them. Pure.

Ratios, since absolute times are the machine's. Where a goal was set in microseconds an event it is in units of one
typed decode of the same body, which took 1.05 microseconds an event where the goal was set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Results = Mapping[str, Any]

DECODE_US = 1.05


class Goal(NamedTuple):
    """A figure of a run that must be at most, or at least, ``limit``."""

    says: str
    figure: Callable[[Results], float]
    limit: float
    at_least: bool = False


class Verdict(NamedTuple):
    """What became of a goal; ``value`` is ``None`` if the run has not measured it."""

    says: str
    value: float | None
    limit: str
    met: bool | None


def _ratio(results: Results, name: str, events: int) -> float:
    value: float = results["inprocess"][name][str(events)]["ratio"]["median"]
    return value


def _decodes(results: Results, name: str, events: int) -> float:
    value: float = results["inprocess"][name][str(events)]["beyond_in_decodes"]["median"]
    return value


def _cpu(results: Results, server: str) -> float:
    value: float = results["sockets"][server]["ringback"]["cpu_ratio"]["median"]
    return value


SAMPLE, SAME_WORK, OURS = "sample style, as published", "sample style, same work", "ringback"


def _cheaper(sample: str, described: str, events: int, limit: float) -> Goal:
    says = f"times cheaper than {described}, {events} event{'s' if events > 1 else ''}"
    return Goal(says, lambda r: _ratio(r, sample, events) / _ratio(r, OURS, events), limit, at_least=True)


GOALS = (
    Goal("1 event with its log line, as a ratio to the bare route", lambda r: _ratio(r, OURS, 1), 1.45),
    Goal(
        "1 event where the route uses the outcomes, as a ratio to the bare route",
        lambda r: _ratio(r, "ringback, route uses the outcomes", 1),
        0.85,
    ),
    Goal(
        "1000 events without log, typed decodes beyond the bare route",
        lambda r: _decodes(r, "ringback, log off", 1000),
        round(1.7 / DECODE_US, 2),
    ),
    Goal(
        "1000 events with log lines, typed decodes beyond the bare route",
        lambda r: _decodes(r, OURS, 1000),
        round(2.3 / DECODE_US, 2),
    ),
    _cheaper(SAME_WORK, "the samples' style, doing the same work", 1, 3.3),
    _cheaper(SAME_WORK, "the samples' style, doing the same work", 1000, 7.0),
    _cheaper(SAMPLE, "the samples as published, which do much less", 1, 3.3),
    _cheaper(SAMPLE, "the samples as published, which do much less", 1000, 7.0),
    Goal("CPU of uvicorn a request, as a ratio to the bare route", lambda r: _cpu(r, "uvicorn"), 1.20),
    Goal("CPU of granian a request, as a ratio to the bare route", lambda r: _cpu(r, "granian"), 1.20),
    Goal(
        "linear: cost of an event among 5000 by that of one among 100",
        lambda r: _decodes(r, OURS, 5000) / _decodes(r, OURS, 100),
        1.25,
    ),
)


def verdicts(results: Results) -> list[Verdict]:
    """All goals in their order; a run may have left out what one of them needs."""
    found: list[Verdict] = []
    for goal in GOALS:
        limit = f"{'at least' if goal.at_least else 'at most'} {goal.limit:.2f}"
        try:
            value = goal.figure(results)
        except KeyError:
            found.append(Verdict(goal.says, None, limit, None))
        else:
            found.append(
                Verdict(goal.says, value, limit, value >= goal.limit if goal.at_least else value <= goal.limit)
            )
    return found
