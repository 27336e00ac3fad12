"""Once for each call: which outcome opens a call's ending, which joins it, which comes again. Pure.

A call that could not be created is reported twice, as CallDisconnected and CreateCallFailed, in
either order; and any event may be delivered again. The latch lets one outcome through for each
``outcome_id``. It knows no clock: who owns it says when the settle time of a call is over.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from ringback.outcome import Outcome  # noqa: TC001 - msgspec reads the annotations
from ringback_catalog import Scope, event_name, scope_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

K = TypeVar("K")
V = TypeVar("V")


class Offer(StrEnum):
    """What became of an outcome offered to the latch."""

    OPENED = "opened"
    """The first of its kind; settle, then take it."""
    MERGED = "merged"
    """The sibling of one that still settles; nothing more to do."""
    DUPLICATE = "duplicate"
    """Seen before, or too late; it must not fire again."""


class _Ending(Struct, gc=False):
    """A call's end that waits for its sibling: the best outcome so far, and the events it stands for."""

    outcome: Outcome
    events: tuple[str, ...]


class Latch:
    """Remembers the last ``capacity`` endings it let through; one that still settles is never forgotten."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._settling: dict[str, _Ending] = {}
        self._taken: OrderedDict[str, None] = OrderedDict()
        self._calls: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._settling) + len(self._taken)

    def offer(self, outcome: Outcome) -> Offer:
        """Take note of an outcome and say what it is."""
        key = outcome.outcome_id
        if key in self._taken:
            return Offer.DUPLICATE
        name = outcome.event_name
        ending = self._settling.get(key)
        if ending is not None:
            if name in ending.events:
                return Offer.DUPLICATE
            ending.events += (name,)
            ending.outcome = ending.outcome.merged_with(outcome)
            return Offer.MERGED
        if outcome.scope is Scope.CALL and self._told_by_a_leg(name, outcome.correlation_id):
            return Offer.DUPLICATE
        self._settling[key] = _Ending(outcome, (name,))
        return Offer.OPENED

    def take(self, outcome_id: str) -> Outcome | None:
        """The outcome to act on now that its settle time is over; ``None`` if it was taken already."""
        ending = self._settling.pop(outcome_id, None)
        if ending is None:
            return None
        remember(self._taken, outcome_id, None, self._capacity)
        return ending.outcome

    def settling(self) -> tuple[str, ...]:
        """The ids of the endings that still wait, oldest first."""
        return tuple(self._settling)

    def _told_by_a_leg(self, name: str, call: str | None) -> bool:
        """Whether this is Event Grid's CallEnded of a whole call of which a leg has told its own end.

        It would add nothing. If it comes before the leg and still settles, the leg replaces it.
        """
        if call is None:
            return False
        if name == "CallEnded":
            return call in self._calls
        remember(self._calls, call, None, self._capacity)
        waiting = self._settling.get(f"call:{call}")
        if waiting is not None and waiting.events == ("CallEnded",):
            self.take(f"call:{call}")
        return False


class Echo:
    """Knows an event that comes again, of at least the last ``capacity``; for outcomes that no hook waits for."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        # Of two generations the older is forgotten as a whole, which costs less than one event after the other.
        self._heard = set[str]()
        self._before = set[str]()

    def repeated(self, outcomes: Iterable[Outcome]) -> Sequence[Outcome]:
        """Which of these ends of calls were told before, as the same event of the same ending."""
        again: list[Outcome] = []
        heard = self._heard
        for outcome in outcomes:
            name = _ending(outcome.event.type)
            if name is None:
                continue
            # The leg is at hand; an id of the outcome begins with what it is the id of.
            key = f"{name} {outcome.event.data.call_connection_id or outcome.outcome_id}"
            if key in heard or key in self._before:
                again.append(outcome)
                continue
            if len(heard) == self._capacity:
                self._heard, self._before = set[str](), heard
                heard = self._heard
            heard.add(key)
        return again


@lru_cache(maxsize=1024)
def _ending(event_type: str) -> str | None:
    """The name of an event that ends a call."""
    name = event_name(event_type)
    return name if scope_of(name or None) is Scope.CALL else None


def remember(kept: OrderedDict[K, V], key: K, value: V, capacity: int) -> None:
    """Keep it, and of all only the last ``capacity``."""
    kept[key] = value
    if len(kept) > capacity:
        kept.popitem(last=False)
