"""How deliveries were answered, in memory: by the minute for a day, by the hour for 31 days."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from ringback.core.times import HOUR, MINUTE
from ringback.work.deliveries import LastDelivery, deliveries_of, folded_before, last_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ringback.work.deliveries import Answer, Counted, Deliveries


class MemoryDeliveries:
    """Counts by the beginning of their minute or hour. ``remember`` is in seconds."""

    def __init__(self, remember: float) -> None:
        self._remember = remember
        self._counts: defaultdict[int, Counter[Answer]] = defaultdict(Counter)
        self._last: dict[Answer, float] = {}
        self._folded = 0

    def add(self, counted: Sequence[Counted], now: float) -> None:
        """Add counts, and add up by the hour or forget what is old enough at the time ``now``."""
        before = folded_before(now)
        for each in counted:
            answer = each.result, each.reason
            self._counts[each.at if each.at >= before else each.at - each.at % HOUR][answer] += each.count
            self._last[answer] = max(each.last_at, self._last.get(answer, each.last_at))
        if before != self._folded:
            self._folded = before
            for at in [at for at in self._counts if at < before and at % HOUR]:
                self._counts[at - at % HOUR] += self._counts.pop(at)
            for at in [at for at in self._counts if at < now - self._remember]:
                self._forget(at)

    def deliveries(self, since: float, until: float, step: float) -> Sequence[Deliveries]:
        rows = (
            ((at - since) // step, *answer, count)
            for at, counts in self._counts.items()
            if since <= at < until
            for answer, count in counts.items()
        )
        return deliveries_of(rows, since, step)

    def last(self) -> LastDelivery:
        first = min(self._counts, default=0)
        return last_of((result, at, first) for (result, _), at in self._last.items())

    def _forget(self, at: int) -> None:
        """Forget an hour. The last delivery of each result stays, however long ago it came."""
        newest: dict[str, float] = {}
        for (result, _), last_at in self._last.items():
            newest[result] = max(last_at, newest.get(result, last_at))
        for answer in list(self._counts[at]):
            last_at = self._last[answer]
            if last_at < newest[answer[0]] or last_at >= at + HOUR + MINUTE:
                del self._counts[at][answer]
        if not self._counts[at]:
            del self._counts[at]
