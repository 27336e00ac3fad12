"""Reads the stores for all who look at a page: what many ask for at once is read once for all of them."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, TypeVar

from ringback.console.snapshot import POINT, Hour, Range, Snapshot, WorkSnapshot, merged, total, unrecognized
from ringback.core.times import DAY, HOUR
from ringback.hooks.operators import programme_of
from ringback.work.history import CallFilter
from ringback.work.items import Kind
from ringback.work.selection import grouped
from ringback_catalog import Match

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from ringback.work.delivery_store import DeliveryStore
    from ringback.work.history import Count, Pair, Waiting

T = TypeVar("T")

KEPT = 2.0
"""Seconds. A value is used again for at least so long."""
REST = 4.0
"""A value is also used again for this many times the reading time, to spare stores with many calls."""

DAYS_BEFORE = 7
"""Days whose calls of the same hour say what is usual for the hour."""
MOST_PAIRS = 200
"""Pairs that are asked of a store at once; more different pairs are rare."""
LATEST, WAITING = 10, 10
"""Rows of a table, at most. The figures above the tables count all rows."""
LETTERS = 10_000
"""Dead letters that are read, the newest: in groups, and to be changed at once."""

_UNKNOWN = (Match.CODE, Match.RANGE, Match.NONE)


class Shared:
    """The values by name. ``monotonic`` gives seconds, for the age of a value."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        # A value with the time until which it is used again, by name.
        self._known: dict[str, tuple[float, Any]] = {}
        self._reading: dict[str, asyncio.Task[Any]] = {}
        self._changes = 0

    async def get(self, name: str, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The value of this name, as fresh as :data:`KEPT` and :data:`REST` allow. Raises as ``read`` does."""
        known = self._known.get(name)
        if known is not None and self._monotonic() < known[0]:
            value: T = known[1]
            return value
        reading = self._reading.get(name)
        if reading is None or reading.done() or reading.get_loop() is not asyncio.get_running_loop():
            reading = asyncio.create_task(self._read(name, read))
            reading.add_done_callback(_looked_at)
            self._reading[name] = reading
        # Other requests wait for the same task, so the task goes on if the first request is cancelled.
        fresh: T = await asyncio.shield(reading)
        return fresh

    def forget(self) -> None:
        """Somebody has changed what the values were read from, and must see the change, even if another request began
        to read before the change.
        """
        self._changes += 1
        self._known.clear()
        self._reading.clear()

    async def _read(self, name: str, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        changes, began = self._changes, self._monotonic()
        value = await read()
        if changes == self._changes:
            ended = self._monotonic()
            self._known[name] = (ended + max(KEPT, REST * (ended - began)), value)
        return value


def _looked_at(reading: asyncio.Task[Any]) -> None:
    """Mark the exception as seen. Waiting requests have it; without any, asyncio would log it."""
    if not reading.cancelled():
        reading.exception()


class Reader:
    """Calls ``stores`` for every read, and reads those stores. Raises their :class:`~ringback.exceptions.StoreError`.

    ``clock`` gives seconds since 1970; ``monotonic`` gives seconds, for the age of what was read.
    """

    def __init__(
        self, stores: Callable[[], Sequence[DeliveryStore]], clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self._stores = stores
        self._clock = clock
        self.shared = Shared(monotonic)

    async def snapshot(self, chosen: Range) -> Snapshot:
        """The calls of a range."""
        return await self.shared.get(f"calls {chosen.name}", lambda: self._read(chosen))

    async def work(self, chosen: Range) -> WorkSnapshot:
        """What waits and what was given up; the programme of a range."""
        return await self.shared.get(f"work {chosen.name}", lambda: self._read_work(chosen))

    async def opened(self) -> Sequence[DeliveryStore]:
        """The stores, each open."""
        stores = self._stores()
        for store in stores:
            await store.open()
        return stores

    async def _read(self, chosen: Range) -> Snapshot:
        stores = await self.opened()
        at = float(math.floor(self._clock()))
        since, day = chosen.since(at), math.floor(at / POINT) * POINT - float(DAY)
        recent = await self._counts(stores, min(day, since) if chosen.seconds <= DAY else day, at, POINT)
        # A long range has long bars, so that its counts are few.
        counts = recent if chosen.seconds <= DAY else await self._counts(stores, since, at, chosen.bar)
        pairs, unknown, unrecognized_calls = await self._pairs(stores, since, at)
        hour_pairs, _, of_hour = await self._pairs(stores, at - HOUR, at)
        hours = [await self._counts(stores, *span, HOUR) for span in _same_hours(at)]
        latest = [await store.history.latest(LATEST) for store in stores]
        return Snapshot(
            range=chosen,
            at=at,
            since=since,
            counts=tuple(count for count in counts if count.at >= since),
            pairs=pairs,
            unknown=unknown,
            unrecognized=unrecognized_calls,
            recent=tuple(count for count in recent if count.at >= day),
            hour=Hour(at, hours[0], hour_pairs, of_hour),
            before=tuple(Hour(at - (days + 1) * DAY, each) for days, each in enumerate(hours[1:]) if each),
            latest=tuple(sorted(_flat(latest), key=lambda ended: -ended.at)[:LATEST]),
            stats=total([await store.stats() for store in stores]),
        )

    async def _counts(
        self, stores: Sequence[DeliveryStore], since: float, until: float, step: float
    ) -> tuple[Count, ...]:
        return _flat([await store.history.counts(since, until, step) for store in stores])

    async def _pairs(
        self, stores: Sequence[DeliveryStore], since: float, until: float
    ) -> tuple[tuple[Pair, ...], tuple[Pair, ...], int]:
        """The pairs of a time, those without an entry in the catalog, and how many calls ended with such a pair."""
        found = [await store.history.pairs(since, MOST_PAIRS, until=until) for store in stores]
        pairs = merged(_flat(found))
        unknown = tuple(filter(unrecognized, pairs))
        if all(len(each) < MOST_PAIRS for each in found):
            return pairs, unknown, sum(pair.count for pair in unknown)
        # The bound may cut off rare pairs that the catalog does not know.
        more = [await each.history.pairs(since, MOST_PAIRS, match, until) for each in stores for match in _UNKNOWN]
        chosen = CallFilter(recognized=False, since=since, until=until)
        count = sum([(await store.history.calls(chosen, 0)).total for store in stores])
        return pairs, merged(filter(unrecognized, _flat(more))), count

    async def _read_work(self, chosen: Range) -> WorkSnapshot:
        stores = await self.opened()
        now = self._clock()
        since = chosen.since(now)
        histories = [store.history for store in stores]
        dead = _flat([await store.dead(LETTERS) for store in stores])
        letters = tuple(sorted(dead, key=lambda letter: -letter.died_at)[:LETTERS])
        return WorkSnapshot(
            range=chosen,
            at=now,
            since=since,
            hooks=_soonest([await history.waiting(Kind.OUTCOME, WAITING) for history in histories]),
            redials=_soonest([await history.waiting(Kind.REDIAL, WAITING) for history in histories]),
            letters=letters,
            # Patterns over thousands of reasons: the event loop has other work.
            groups=await asyncio.to_thread(grouped, letters),
            stats=total([await store.stats() for store in stores]),
            programme=await programme_of(stores, since),
        )


def _flat(parts: Iterable[Iterable[T]]) -> tuple[T, ...]:
    return tuple(value for part in parts for value in part)


def _same_hours(at: float) -> list[tuple[float, float]]:
    """The hour that ends ``at`` this second, and the same hours of the days before."""
    return [(at - days * DAY - HOUR, at - days * float(DAY)) for days in range(DAYS_BEFORE + 1)]


def _soonest(parts: Iterable[Sequence[Waiting]]) -> tuple[Waiting, ...]:
    return tuple(sorted(_flat(parts), key=lambda item: item.due_at)[:WAITING])
