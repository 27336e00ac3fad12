"""Reads the stores for all who look at a page."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from ringback.console.sharing import Shared
from ringback.console.snapshot import (
    LATEST,
    LETTERS,
    MOST_PAIRS,
    WAITING,
    Range,
    Snapshot,
    WorkSnapshot,
    merged,
    total,
    unrecognized,
)
from ringback.hooks.operators import programme_of
from ringback.work.items import Kind
from ringback.work.letter_groups import grouped
from ringback_catalog import Match

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ringback.work.history import Pair, Waiting
    from ringback.work.items import DeadLetter, DeliveryStore

T = TypeVar("T")

_UNKNOWN = (Match.CODE, Match.RANGE, Match.NONE)


class Reader:
    """Calls ``stores`` for every read, and reads those stores. Raises their :class:`~ringback.exceptions.StoreError`.

    ``clock`` gives seconds since 1970; ``monotonic`` gives seconds, for the age of what was read.
    """

    def __init__(
        self,
        stores: Callable[[], Sequence[DeliveryStore]],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
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
        return Snapshot(
            range=chosen,
            at=now,
            since=since,
            counts=_flat([await history.counts(since, until, chosen.point) for history in histories]),
            pairs=merged(_flat(pairs)),
            unrecognized=merged(filter(unrecognized, _flat(unknown))),
            unrecognized_cut=any(_full(pairs) for pairs in unknown),
            latest=tuple(sorted(_flat(latest), key=lambda ended: -ended.at)[:LATEST]),
            stats=total([await store.stats() for store in stores]),
        )

    async def _read_work(self, chosen: Range) -> WorkSnapshot:
        stores = await self.opened()
        now = self._clock()
        since = chosen.since(now)
        histories = [store.history for store in stores]
        letters = _newest(_flat([await store.dead(LETTERS) for store in stores]))
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


def _full(pairs: Sequence[Pair]) -> bool:
    return len(pairs) >= MOST_PAIRS


def _soonest(parts: Iterable[Sequence[Waiting]]) -> tuple[Waiting, ...]:
    return tuple(sorted(_flat(parts), key=lambda item: item.due_at)[:WAITING])


def _newest(letters: Iterable[DeadLetter]) -> tuple[DeadLetter, ...]:
    return tuple(sorted(letters, key=lambda letter: -letter.died_at)[:LETTERS])
