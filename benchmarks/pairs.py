"""Figures that were taken in turns, and what they say. Pure.

A machine that others use is slow for a while and fast again. Whoever is compared therefore takes turns, in a round that
is short against such a while; only figures of one round are compared, and of the rounds the median counts.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Round(NamedTuple):
    """CPU seconds a request, of the bare route, of the candidate, and of one typed decode of the same body."""

    bare: float
    candidate: float
    decode: float


class Spread(NamedTuple):
    """The median, and the quartiles around it."""

    low: float
    median: float
    high: float


def spread(figures: Sequence[float]) -> Spread:
    """Of one figure all three are that figure. Raises :class:`ValueError` for none."""
    if not figures:
        raise ValueError("no figures: measure at least one round")
    if len(figures) == 1:
        return Spread(figures[0], figures[0], figures[0])
    low, median, high = statistics.quantiles(figures, n=4, method="inclusive")
    return Spread(low, median, high)


def ratio(rounds: Sequence[Round]) -> Spread:
    """The candidate's time by the bare route's."""
    return spread([each.candidate / each.bare for each in rounds])


def beyond(rounds: Sequence[Round], events: int) -> Spread:
    """Microseconds an event that the candidate takes beyond the bare route."""
    return spread([(each.candidate - each.bare) / events * 1e6 for each in rounds])


def in_decodes(rounds: Sequence[Round]) -> Spread:
    """The same in units of one typed decode of the same body, which machines differ less in."""
    return spread([(each.candidate - each.bare) / each.decode for each in rounds])


def summary(rounds: Sequence[Round], events: int) -> dict[str, object]:
    """All of it as plain values, for the machine-readable results."""
    return {
        "rounds": len(rounds),
        "ratio": ratio(rounds)._asdict(),
        "beyond_us_per_event": beyond(rounds, events)._asdict(),
        "beyond_in_decodes": in_decodes(rounds)._asdict(),
        "us_per_request": statistics.median(each.candidate for each in rounds) * 1e6,
        "bare_us_per_request": statistics.median(each.bare for each in rounds) * 1e6,
        "decode_us_per_request": statistics.median(each.decode for each in rounds) * 1e6,
    }
