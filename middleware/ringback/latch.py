"""Once for each call: which outcome opens a call's ending, which joins it, which comes again. Pure.

A call that could not be created is reported twice, as CallDisconnected and CreateCallFailed, in
either order; and any event may be delivered again. The latch lets one outcome through for each
``outcome_id``. It knows no clock: who owns it says when the settle time of a call is over.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING

from ringback_catalog import Scope

if TYPE_CHECKING:
    from ringback.outcome import Outcome


class Offer(StrEnum):
    """What became of an outcome offered to the latch."""

    OPENED = "opened"
    """The first of its kind; settle, then take it."""
    MERGED = "merged"
    """The sibling of one that still settles; nothing more to do."""
    DUPLICATE = "duplicate"
    """Seen before, or too late; it must not fire again."""


@dataclass(slots=True)
class _Ending:
    """What is known of one call's end. ``settling`` is ``None`` once it was taken."""

    events: set[str]
    settling: Outcome | None


class Latch:
    """Remembers the last ``capacity`` endings; the oldest one that was taken is forgotten first."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._endings: OrderedDict[str, _Ending] = OrderedDict()
        self._calls: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._endings)

    def offer(self, outcome: Outcome) -> Offer:
        """Take note of an outcome and say what it is."""
        key, name = outcome.outcome_id, outcome.event_name
        ending = self._endings.get(key)
        if ending is not None:
            if name in ending.events or ending.settling is None:
                ending.events.add(name)
                return Offer.DUPLICATE
            ending.events.add(name)
            ending.settling = ending.settling.merged_with(outcome)
            return Offer.MERGED
        if outcome.scope is Scope.CALL and not self._first_of_call(outcome):
            return Offer.DUPLICATE
        self._endings[key] = _Ending({name}, outcome)
        self._forget()
        return Offer.OPENED

    def take(self, outcome_id: str) -> Outcome | None:
        """The outcome to act on now that its settle time is over; ``None`` if it was taken already."""
        ending = self._endings.get(outcome_id)
        if ending is None or ending.settling is None:
            return None
        outcome, ending.settling = ending.settling, None
        return outcome

    def settling(self) -> tuple[str, ...]:
        """The ids of the endings that still wait, oldest first."""
        return tuple(key for key, ending in self._endings.items() if ending.settling is not None)

    def _first_of_call(self, outcome: Outcome) -> bool:
        """Event Grid's CallEnded tells of a whole call: it adds nothing once a leg has told its own end."""
        whole = outcome.correlation_id
        if whole is None:
            return True
        if outcome.event_name == "CallEnded":
            return whole not in self._calls
        self._calls[whole] = outcome.outcome_id
        told = self._endings.get(f"call:{whole}")
        if told is not None:
            told.settling = None
        return True

    def _forget(self) -> None:
        # An ending that still settles is never dropped: it has yet to reach its hooks.
        excess = len(self._endings) - self._capacity
        if excess > 0:
            taken = (key for key, ending in self._endings.items() if ending.settling is None)
            for key in list(islice(taken, excess)):
                del self._endings[key]
        while len(self._calls) > self._capacity:
            self._calls.popitem(last=False)
