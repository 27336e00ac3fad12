"""Figures that were taken in turns, and what they say. Pure.

A machine that others use is slow for a while and fast again. Whoever is compared therefore takes turns, in a round that
is short against such a while; only figures of one round are compared, and of the rounds the median counts.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def spread(figures: Sequence[float]) -> dict[str, float]:
    """The median and the quartiles, rounded; of one figure all three are that figure. Raises ValueError for none."""
    if not figures:
        raise ValueError("no figures: measure at least one round")
    low, median, high = (
        statistics.quantiles(figures, n=4, method="inclusive") if len(figures) > 1 else (figures[0],) * 3
    )
    return {"low": round(low, 3), "median": round(median, 3), "high": round(high, 3)}


def compared(candidate: Sequence[float], bare: Sequence[float]) -> dict[str, float]:
    """The candidate's figures as ratios to the bare route's of the same round."""
    return spread([one / base for one, base in zip(candidate, bare, strict=True)])
