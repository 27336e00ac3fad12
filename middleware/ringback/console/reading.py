"""Reads the stores once for all who look at the page, and changes dead letters."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from ringback.console.snapshot import (
    DEAD,
    LATEST,
    MOST_PAIRS,
    WAITING,
    Range,
    Snapshot,
    merged,
    total,
    unrecognized,
)
from ringback.hooks.operators import programme_of
from ringback.work.items import Kind
from ringback_catalog import Match

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ringback.work.history import Pair, Waiting
    from ringback.work.items import DeadLetter, DeliveryStore

T = TypeVar("T")

KEPT = 2.0
"""Seconds. The reader reuses a snapshot for at least so long."""
REST = 4.0
"""The reader also reuses a snapshot for this many times the reading time, to spare stores with many calls."""

_UNKNOWN = (Match.CODE, Match.RANGE, Match.NONE)
_ALL = 2**31 - 1


class Reader:
    """Calls ``stores`` for every read, and reads those stores. Raises their :class:`~ringback.exceptions.StoreError`.

    ``clock`` gives seconds since 1970; ``monotonic`` gives seconds, for the age of a snapshot.
    """

    def __init__(
        self,
        stores: Callable[[], Sequence[DeliveryStore]],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._stores = stores
        self._clock = clock
        self._monotonic = monotonic
        # A snapshot with the time until which the reader reuses it, by range.
        self._known: dict[str, tuple[float, Snapshot]] = {}
        self._reading: dict[str, asyncio.Task[Snapshot]] = {}
        self._changes = 0

    async def snapshot(self, chosen: Range) -> Snapshot:
        """The snapshot of a range, as fresh as :data:`KEPT` and :data:`REST` allow."""
        known = self._known.get(chosen.name)
        if known is not None and self._monotonic() < known[0]:
            return known[1]
        reading = self._reading.get(chosen.name)
        if reading is None or reading.done() or reading.get_loop() is not asyncio.get_running_loop():
            reading = asyncio.create_task(self._read(chosen))
            reading.add_done_callback(_looked_at)
            self._reading[chosen.name] = reading
        # Other requests wait for the same task, so the task goes on if the first request is cancelled.
        return await asyncio.shield(reading)

    async def replay(self, key: str) -> bool:
        """Make the dead letter of this key ready again. Whether a store had the letter."""
        return self._changed([await store.replay(key) for store in await self._opened()])

    async def discard(self, key: str) -> bool:
        """Give up the dead letter of this key for good. Whether a store had the letter."""
        return self._changed([await store.discard(key) for store in await self._opened()])

    async def letter(self, wanted: Callable[[str], bool]) -> str | None:
        """The first key among all dead letters for which ``wanted`` is true, or ``None``."""
        letters = [letter for store in await self._opened() for letter in await store.dead(_ALL)]
        return next((letter.key for letter in letters if wanted(letter.key)), None)

    def _changed(self, changes: Sequence[bool]) -> bool:
        # The user must see the change, even if another request began a read before the change.
        self._changes += 1
        self._known.clear()
        self._reading.clear()
        return any(changes)

    async def _opened(self) -> Sequence[DeliveryStore]:
        stores = self._stores()
        for store in stores:
            await store.open()
        return stores

    async def _read(self, chosen: Range) -> Snapshot:
        changes, began = self._changes, self._monotonic()
        stores = await self._opened()
        now = self._clock()
        since = chosen.since(now)
        # Whole bars include the calls of another machine whose clock is a little ahead.
        until = since + chosen.seconds + chosen.bar
        histories = [store.history for store in stores]
        pairs = [await history.pairs(since, MOST_PAIRS) for history in histories]
        unknown = pairs
        if any(map(_full, pairs)):
            # The bound may cut off rare pairs that the catalog does not know.
            unknown = [await history.pairs(since, MOST_PAIRS, match) for history in histories for match in _UNKNOWN]
        latest = [await history.latest(LATEST) for history in histories]
        snapshot = Snapshot(
            range=chosen,
            at=now,
            since=since,
            counts=_flat([await history.counts(since, until, chosen.point) for history in histories]),
            pairs=merged(_flat(pairs)),
            unrecognized=merged(filter(unrecognized, _flat(unknown))),
            unrecognized_cut=any(_full(pairs) for pairs in unknown),
            latest=tuple(sorted(_flat(latest), key=lambda ended: -ended.at)[:LATEST]),
            hooks=_soonest([await history.waiting(Kind.OUTCOME, WAITING) for history in histories]),
            redials=_soonest([await history.waiting(Kind.REDIAL, WAITING) for history in histories]),
            dead=_newest(_flat([await store.dead(DEAD) for store in stores])),
            stats=total([await store.stats() for store in stores]),
            programme=await programme_of(stores, since),
        )
        if changes == self._changes:
            ended = self._monotonic()
            self._known[chosen.name] = (ended + max(KEPT, REST * (ended - began)), snapshot)
        return snapshot


def _looked_at(reading: asyncio.Task[Snapshot]) -> None:
    """Mark the exception as seen. Waiting requests have it; without any, asyncio would log it."""
    if not reading.cancelled():
        reading.exception()


def _flat(parts: Iterable[Iterable[T]]) -> tuple[T, ...]:
    return tuple(value for part in parts for value in part)


def _full(pairs: Sequence[Pair]) -> bool:
    return len(pairs) >= MOST_PAIRS


def _soonest(parts: Iterable[Sequence[Waiting]]) -> tuple[Waiting, ...]:
    return tuple(sorted(_flat(parts), key=lambda item: item.due_at)[:WAITING])


def _newest(letters: Iterable[DeadLetter]) -> tuple[DeadLetter, ...]:
    return tuple(sorted(letters, key=lambda letter: -letter.died_at)[:DEAD])
