"""The history of a store in memory: the last calls that ended, from the first read of ``MemoryStore.history`` on."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from ringback.stores.history_rows import counts_of, refuse_odd_steps
from ringback.stores.rows import counted_by
from ringback.work.history import Ended, Pair, Waiting
from ringback.work.items import Item, Kind, State
from ringback.work.keys import short
from ringback.work.latch import Offer, remember

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ringback.core.outcome import Outcome
    from ringback.stores.memory.calls import MemoryCalls
    from ringback.stores.memory.deliveries import MemoryDeliveries
    from ringback.work.contact import Contact
    from ringback.work.deliveries import Deliveries, LastDelivery
    from ringback.work.history import CallFilter, Count, Found
    from ringback_catalog import Cause, Match, RetryClass


@dataclass(slots=True)
class _Call:
    at: float
    outcome: Outcome
    state: State = State.READY
    duplicates: int = 0

    def columns(self) -> dict[str, Any]:
        return {"event": short(self.outcome.event_name), **counted_by(self.outcome)}


class MemoryHistory:
    """Remembers the last ``capacity`` calls. ``work`` gives the items that are ready or running, in any order, ``dead``
    the dead letters, ``known`` what is known of each contact, ``remembered`` what was told of calls, and ``answered``
    how deliveries were answered.
    """

    def __init__(
        self,
        capacity: int,
        work: Callable[[], Iterable[Waiting]],
        dead: Callable[[], Iterable[Waiting]],
        known: Mapping[str, Contact],
        remembered: MemoryCalls,
        answered: MemoryDeliveries,
    ) -> None:
        self._capacity = capacity
        self._work = work
        self._dead = dead
        self._known = known
        self._remembered = remembered
        self._answered = answered
        self._calls: OrderedDict[str, _Call] = OrderedDict()

    def put(self, key: str, item: Item, offer: Offer, now: float) -> None:
        """Note an item that the store put under this key at the time ``now``; the latch answered ``offer``."""
        outcome = item.outcome
        if item.kind is not Kind.OUTCOME or not outcome.ends_call:
            return
        if outcome.event_name != "CallEnded" and outcome.correlation_id is not None:
            self._yield_to_leg(short(f"call:{outcome.correlation_id}"), key)
        call = self._calls.get(key)
        if offer is Offer.OPENED:
            remember(self._calls, key, _Call(now, outcome), self._capacity)
        elif call is not None and offer is Offer.MERGED:
            call.outcome = call.outcome.merged_with(outcome)
        elif call is not None:
            call.duplicates += 1

    def settled(self, key: str, state: State) -> None:
        """Note the state that the item of this key has reached."""
        if key in self._calls:
            self._calls[key].state = state

    def superseded(self, key: str) -> None:
        """Forget a leg's end without a reason: the store now puts the same end with a reason."""
        self._calls.pop(key, None)

    def _yield_to_leg(self, whole: str, key: str) -> None:
        """Forget Event Grid's CallEnded of the whole call: the leg's own event says more, whichever comes first."""
        call = self._calls.get(whole)
        if whole == key or call is None:
            return
        if call.outcome.event_name == "CallEnded" and call.outcome.sibling is None:
            del self._calls[whole]

    async def counts(self, since: float, until: float, step: float) -> Sequence[Count]:
        refuse_odd_steps(since, step)
        ended = [(call.at, call.outcome) for call in self._calls.values() if since <= call.at < until]
        rows = (((at - since) / step, end.cause, end.category, end.retry_class, 1) for at, end in ended)
        return counts_of(rows, since, step)

    async def pairs(
        self, since: float, limit: int, match: Match | None = None, until: float = math.inf
    ) -> Sequence[Pair]:
        found: dict[tuple[str, int | None, int | None, Match, Cause, RetryClass], list[float]] = {}
        for call in self._calls.values():
            outcome = call.outcome
            if since <= call.at < until and match in (None, outcome.match):
                row = call.columns()
                verdict = outcome.match, outcome.cause, outcome.retry_class
                names = (row["event"], row["code"], row["subcode"], *verdict)
                found.setdefault(names, []).append(call.at)
        pairs = [Pair(*names, len(times), max(times)) for names, times in found.items()]
        return sorted(pairs, key=_most_frequent_first)[: max(0, limit)]

    async def latest(self, limit: int) -> Sequence[Ended]:
        at_work = {item.key: item.state for item in self._work()}
        # By time, because somebody may have set the clock back.
        newest = sorted(self._calls.items(), key=lambda noted: noted[1].at)[::-1][: max(0, limit)]
        return [_ended(key, call, at_work.get(key, call.state)) for key, call in newest]

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


def _ended(key: str, call: _Call, state: State) -> Ended:
    row, outcome = call.columns(), call.outcome
    words = outcome.match, outcome.cause, outcome.category, outcome.retry_class
    return Ended(key, call.at, state, row["event"], row["code"], row["subcode"], *words, call.duplicates, outcome)
