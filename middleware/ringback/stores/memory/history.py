"""The history of a store in memory: the last calls that ended, from the first read of ``MemoryStore.history`` on."""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Any

from ringback.stores.history_rows import counts_of, refuse_odd_steps
from ringback.work.history import CallFilter, Count, Ended, Found, Pair, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ringback.stores.memory.calls import End, Kept, MemoryCalls
    from ringback.stores.memory.deliveries import MemoryDeliveries
    from ringback.work.contact import Contact
    from ringback.work.deliveries import Deliveries, LastDelivery
    from ringback.work.items import Kind, State
    from ringback_catalog import Cause, Match, RetryClass


class MemoryHistory:
    """Implements ``History``. ``work`` gives the items that are ready or running, in any order, ``dead`` the dead
    letters, ``known`` what is known of each contact, ``remembered`` the calls that ended and what was told of calls,
    and ``answered`` how deliveries were answered.
    """

    def __init__(
        self,
        work: Callable[[], Iterable[Waiting]],
        dead: Callable[[], Iterable[Waiting]],
        known: Mapping[str, Contact],
        remembered: MemoryCalls,
        answered: MemoryDeliveries,
    ) -> None:
        self._work = work
        self._dead = dead
        self._known = known
        self._remembered = remembered
        self._answered = answered

    async def counts(self, since: float, until: float, step: float) -> Sequence[Count]:
        refuse_odd_steps(since, step)
        ends = [(kept.at, outcome) for kept, outcome in self._remembered.ends.values() if since <= kept.at < until]
        rows = (((at - since) / step, end.cause, end.category, end.retry_class, 1) for at, end in ends)
        return counts_of(rows, since, step)

    async def pairs(
        self, since: float, limit: int, match: Match | None = None, until: float = math.inf
    ) -> Sequence[Pair]:
        found: dict[tuple[str, int | None, int | None, Match, Cause, RetryClass], list[float]] = {}
        for kept, outcome in self._remembered.ends.values():
            if since <= kept.at < until and match in (None, outcome.match):
                names = (*_result(kept), outcome.match, outcome.cause, outcome.retry_class)
                found.setdefault(names, []).append(kept.at)
        pairs = [Pair(*names, len(times), max(times)) for names, times in found.items()]
        return sorted(pairs, key=_most_frequent_first)[: max(0, limit)]

    async def latest(self, limit: int) -> Sequence[Ended]:
        at_work = {item.key: item.state for item in self._work()}
        # By time, because somebody may have set the clock back.
        newest = sorted(self._remembered.ends.items(), key=lambda noted: noted[1].kept.at)[::-1][: max(0, limit)]
        return [_ended(key, end, at_work.get(key, end.kept.state)) for key, end in newest]

    async def waiting(self, kind: Kind, limit: int) -> Sequence[Waiting]:
        found = (item for item in self._work() if item.kind is kind)
        return sorted(found, key=lambda item: item.due_at)[: max(0, limit)]

    async def item(self, key: str) -> Waiting | None:
        return next((item for item in chain(self._work(), self._dead()) if item.key == key), None)

    async def calls(self, chosen: CallFilter, limit: int, offset: int = 0, *, oldest_first: bool = False) -> Found:
        return self._remembered.calls(chosen, max(0, limit), max(0, offset), oldest_first=oldest_first)

    async def deliveries(self, since: float, until: float, step: float) -> Sequence[Deliveries]:
        refuse_odd_steps(since, step)
        return self._answered.deliveries(since, until, step)

    async def last_delivery(self) -> LastDelivery:
        return self._answered.last()

    async def contacts(self, since: float, after: str, limit: int) -> Sequence[tuple[str, Contact]]:
        noted = (name for name, known in self._known.items() if any(call.last >= since for call in known.calls))
        names = sorted(name for name in noted if name > after)[: max(0, limit)]
        return [(name, self._known[name]) for name in names]


def _most_frequent_first(pair: Pair) -> tuple[Any, ...]:
    numbers = ((number is not None, number or 0) for number in (pair.code, pair.subcode))
    return (-pair.count, -pair.last_at, pair.event, *numbers, pair.match, pair.cause, pair.retry)


def _ended(key: str, end: End, state: State) -> Ended:
    kept, outcome = end
    event, code, subcode = _result(kept)
    words = outcome.match, outcome.cause, outcome.category, outcome.retry_class
    return Ended(key, kept.at, state, event, code, subcode, *words, kept.duplicates, outcome)


def _result(kept: Kept) -> tuple[str, int | None, int | None]:
    """The event that said most of the end, with its code and subcode."""
    first = kept.told[0]
    return first.event, first.code, first.subcode
