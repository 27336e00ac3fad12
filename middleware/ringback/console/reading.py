"""What the stores say, asked for once however many look; and what is done to a dead letter."""

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
from ringback.stores.port import Kind
from ringback_catalog import Match

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ringback.stores.history import Pair, Waiting
    from ringback.stores.port import DeadLetter, DeliveryStore

T = TypeVar("T")

KEPT = 2.0
"""Seconds for which a snapshot answers for the stores, at least."""
REST = 4.0
"""Times as long as reading took, for which it answers, too: stores with many calls have something else to do."""

_UNKNOWN = (Match.CODE, Match.RANGE, Match.NONE)
_ALL = 2**31 - 1


class Reader:
    """Reads ``stores()``, whichever they are by then. Raises :class:`~ringback.exceptions.StoreError` as they do.

    ``clock`` gives seconds since the epoch; ``monotonic`` says how old a snapshot is.
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
        # Each with the time until which it answers.
        self._known: dict[str, tuple[float, Snapshot]] = {}
        self._reading: dict[str, asyncio.Task[Snapshot]] = {}
        self._changes = 0

    async def snapshot(self, chosen: Range) -> Snapshot:
        """What is known of the range, as fresh as :data:`KEPT` and :data:`REST` allow."""
        known = self._known.get(chosen.name)
        if known is not None and self._monotonic() < known[0]:
            return known[1]
        reading = self._reading.get(chosen.name)
        if reading is None or reading.done() or reading.get_loop() is not asyncio.get_running_loop():
            reading = asyncio.create_task(self._read(chosen))
            reading.add_done_callback(_looked_at)
            self._reading[chosen.name] = reading
        # Others wait for it as well: it goes on if the one who asked first has gone.
        return await asyncio.shield(reading)

    async def replay(self, key: str) -> bool:
        """Make the dead letter ready again, in whichever store it is."""
        return self._changed([await store.replay(key) for store in await self._opened()])

    async def discard(self, key: str) -> bool:
        """Give the dead letter up for good."""
        return self._changed([await store.discard(key) for store in await self._opened()])

    async def letter(self, wanted: Callable[[str], bool]) -> str | None:
        """The key of the dead letter whose key is wanted. Looks at all of them."""
        letters = [letter for store in await self._opened() for letter in await store.dead(_ALL)]
        return next((letter.key for letter in letters if wanted(letter.key)), None)

    def _changed(self, changes: Sequence[bool]) -> bool:
        # Who acted wants to see it, also if somebody began to read before.
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
        # Whole bars, so that a clock that is a little ahead of ours hides nothing.
        until = since + chosen.seconds + chosen.bar
        histories = [store.history for store in stores]
        pairs = [await each.pairs(since, MOST_PAIRS) for each in histories]
        unknown = pairs
        if any(map(_full, pairs)):
            # What is rare and unknown may be behind the frequent.
            unknown = [await each.pairs(since, MOST_PAIRS, match) for each in histories for match in _UNKNOWN]
        snapshot = Snapshot(
            range=chosen,
            at=now,
            since=since,
            counts=_flat([await each.counts(since, until, chosen.point) for each in histories]),
            pairs=merged(_flat(pairs)),
            unrecognized=merged(filter(unrecognized, _flat(unknown))),
            unrecognized_cut=any(_full(pairs) for pairs in unknown),
            latest=tuple(
                sorted(_flat([await each.latest(LATEST) for each in histories]), key=lambda ended: -ended.at)[:LATEST]
            ),
            hooks=_soonest([await each.waiting(Kind.OUTCOME, WAITING) for each in histories]),
            redials=_soonest([await each.waiting(Kind.REDIAL, WAITING) for each in histories]),
            dead=_newest(_flat([await store.dead(DEAD) for store in stores])),
            stats=total([await store.stats() for store in stores]),
        )
        if changes == self._changes:
            ended = self._monotonic()
            self._known[chosen.name] = (ended + max(KEPT, REST * (ended - began)), snapshot)
        return snapshot


def _looked_at(reading: asyncio.Task[Snapshot]) -> None:
    """Whoever waited has the exception; if nobody waits any more, there is nobody to tell."""
    if not reading.cancelled():
        reading.exception()


def _flat(parts: Iterable[Iterable[T]]) -> tuple[T, ...]:
    return tuple(each for part in parts for each in part)


def _full(pairs: Sequence[Pair]) -> bool:
    return len(pairs) >= MOST_PAIRS


def _soonest(parts: Iterable[Sequence[Waiting]]) -> tuple[Waiting, ...]:
    return tuple(sorted(_flat(parts), key=lambda item: item.due_at)[:WAITING])


def _newest(letters: Iterable[DeadLetter]) -> tuple[DeadLetter, ...]:
    return tuple(sorted(letters, key=lambda letter: -letter.died_at)[:DEAD])
