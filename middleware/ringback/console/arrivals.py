"""What has arrived, as the stores have counted it: in the last hour by minutes, in four weeks before by hours; and how
much is usual, which is as much as came in the same time of earlier days.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from ringback.core.times import DAY, HOUR, MINUTE, WEEK
from ringback.work.deliveries import Deliveries, LastDelivery, deliveries_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ringback.work.deliveries import Answer, Counted, Result
    from ringback.work.delivery_store import DeliveryStore

WEEKS = 4
"""Weeks before the last hour that tell what is usual."""


class Arrivals(Struct, frozen=True):
    """``lately`` begins with the minute ``since``, an hour before the end of the minute ``at``; ``before`` ends there.

    The hours of ``before`` begin whole hours before ``since``. ``called`` is when a call last ended, for stores that
    know of no delivery.
    """

    at: float
    since: int
    lately: tuple[Deliveries, ...]
    before: tuple[Deliveries, ...]
    last: LastDelivery
    called: float | None = None

    def counts(self, begin: float = 0.0) -> Counter[Answer]:
        """The deliveries of the last hour by answer, from the minute ``begin`` on. Handshakes are none."""
        return by_answer(each for each in self.lately if each.at >= begin)

    def unaccepted(self) -> Counter[Answer]:
        """The deliveries of the four weeks, before the last hour, that came after the last accepted one, by answer."""
        after = self.last.accepted or 0.0
        return by_answer(each for each in self.before if each.at + HOUR > after and each.result != "accepted")

    def accepted(self, begin: float, end: float) -> float:
        """About how many deliveries were accepted in this time, of the four weeks before the last hour and of it.

        An hour counts by its part that lies in the time.
        """
        spans = (*((each, HOUR) for each in self.before), *((each, MINUTE) for each in self.lately))
        return sum(
            each.count * max(0.0, min(end, each.at + span) - max(begin, each.at)) / span
            for each, span in spans
            if each.result == "accepted"
        )


async def arrivals(stores: Sequence[DeliveryStore], now: float, unwritten: Sequence[Counted] = ()) -> Arrivals:
    """Read the stores, which are open, as if they were one, and add what a store could not keep so far: that it cannot
    be written is the news. Raises their :class:`~ringback.exceptions.StoreError`.
    """
    since = int(now // MINUTE) * MINUTE - HOUR + MINUTE
    histories = [store.history for store in stores]
    lately = [await history.deliveries(since, since + 2 * HOUR, MINUTE) for history in histories]
    before = [await history.deliveries(since - WEEKS * WEEK, since, HOUR) for history in histories]
    lately.append(_counted((each for each in unwritten if each.at >= since), since, MINUTE))
    before.append(_counted((each for each in unwritten if each.at < since), since, HOUR))
    known = [await history.last_delivery() for history in histories]
    known += [_last(each) for each in unwritten]
    last = LastDelivery(
        any=max((each.any for each in known if each.any is not None), default=None),
        accepted=max((each.accepted for each in known if each.accepted is not None), default=None),
        first=min((each.first for each in known if each.first is not None), default=None),
    )
    called: list[float] = []
    if last.any is None:
        # The calls may be from before the stores counted deliveries.
        called = [each.at for history in histories for each in await history.latest(1)]
    return Arrivals(now, since, _summed(lately), _summed(before), last, max(called, default=None))


def by_answer(counted: Iterable[Deliveries]) -> Counter[Answer]:
    """The counts by result and reason. A handshake is no delivery."""
    found: Counter[Answer] = Counter()
    for each in counted:
        if each.result != "handshake":
            found[each.result, each.reason] += each.count
    return found


def _counted(counted: Iterable[Counted], since: int, step: int) -> Sequence[Deliveries]:
    rows = (((each.at - since) // step, each.result, each.reason, each.count) for each in counted)
    return deliveries_of(rows, since, step)


def _last(counted: Counted) -> LastDelivery:
    arrived, accepted = counted.result != "handshake", counted.result == "accepted"
    return LastDelivery(counted.last_at if arrived else None, counted.last_at if accepted else None, counted.at)


def _summed(parts: Iterable[Sequence[Deliveries]]) -> tuple[Deliveries, ...]:
    counts: Counter[tuple[float, Result, str]] = Counter()
    for part in parts:
        for each in part:
            counts[each.at, each.result, each.reason] += each.count
    return tuple(Deliveries(*place, count) for place, count in sorted(counts.items()))


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
