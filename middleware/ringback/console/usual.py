"""How many deliveries are usual in a time: as many as came in the same time of earlier days. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from ringback.console.arrivals import DAY, WEEK, WEEKS

if TYPE_CHECKING:
    from ringback.console.arrivals import Arrivals

_WEEKEND = ("Saturday", "Sunday")


class Usual(Struct, frozen=True):
    """How many deliveries were accepted in the same time of earlier days, one number for each of the ``days``.

    ``doubt`` says why these days tell little of today.
    """

    days: str
    counts: tuple[float, ...]
    doubt: str = ""

    @property
    def least(self) -> float:
        return min(self.counts, default=0.0)

    @property
    def mean(self) -> float:
        return sum(self.counts) / len(self.counts) if self.counts else 0.0


def usual(arrivals: Arrivals, begin: float, end: float) -> Usual:
    """What is usual in this time: on the same day of the weeks before, or else on the days before.

    A day counts if the store has counts of the whole of its time. Times are in UTC, as days are.
    """
    first = arrivals.since if arrivals.last.first is None else arrivals.last.first
    weeks, days = (
        [number * step for number in range(1, most + 1) if begin - number * step >= first]
        for step, most in ((WEEK, WEEKS), (DAY, 7))
    )
    weekday = f"{datetime.fromtimestamp(end, UTC):%A}"
    if len(weeks) > 1:
        counts = tuple(arrivals.accepted(begin - back, end - back) for back in weeks)
        return Usual(f"last {len(weeks)} {weekday}s", counts)
    counts = tuple(arrivals.accepted(begin - back, end - back) for back in days)
    if not counts:
        doubt = "There is no earlier day to compare with: the calls may have ended for the day."
    elif len(counts) == 1:
        doubt = "There is one earlier day to compare with."
    else:
        doubt = f"There are not two {weekday}s to compare with." if weekday in _WEEKEND else ""
    return Usual("day before" if len(counts) == 1 else f"last {len(counts)} days", counts, doubt)
