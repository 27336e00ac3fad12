"""The latch: one outcome for each end of a call, whatever comes twice. Pure.

The service reports a failed create twice, as CallDisconnected and CreateCallFailed, in either order, and a sender may
redeliver any event. The latch lets one outcome through for each ``outcome_id``. The latch has no clock: its owner says
when the settle time of a call is over.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from ringback.core.outcome import informs_more, level_of

if TYPE_CHECKING:
    from ringback.core.outcome import Outcome

K = TypeVar("K")
V = TypeVar("V")


class Offer(StrEnum):
    """What the latch makes of an outcome."""

    OPENED = "opened"
    """The first report of an end. The end settles now, and ``Latch.take`` gives the outcome later."""
    MERGED = "merged"
    """The sibling of an outcome that still settles. The two are one outcome now."""
    DUPLICATE = "duplicate"
    """A redelivery, or a report after the settle time. No hook may get this outcome."""


def informed(outcome_id: str) -> str:
    """The key of a second outcome for a leg's end: hooks had the end without a reason, and the reason comes late."""
    return f"{outcome_id}/informed"


def merges(kept: str, kept_informs: int, new: str, new_informs: int, *, has_sibling: bool) -> bool:
    """Whether a further report of an end that still settles changes what the hooks get: two events with what they say
    of the end, by :meth:`~ringback.core.outcome.Outcome.informs`.

    Another event is the sibling of the first one. After the two, a third has to say more than both. The same event
    again has to bring the result that the first one lacked.
    """
    if level_of(new_informs) > level_of(kept_informs):
        return True
    return new != kept and (not has_sibling or informs_more(new_informs, kept_informs))


class Latch:
    """Remembers the last ``capacity`` ends that the latch let through, and every end that still settles."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._settling: dict[str, Outcome] = {}
        self._taken: OrderedDict[str, int] = OrderedDict()
        self._calls: OrderedDict[str, None] = OrderedDict()

    def offer(self, outcome: Outcome, key: str | None = None) -> Offer:
        """Records an outcome and says what the outcome is. ``key`` saves a call of :meth:`name_of`."""
        key = self.name_of(outcome, outcome.outcome_id) if key is None else key
        if key in self._taken:
            return Offer.DUPLICATE
        name = outcome.event_name
        kept = self._settling.get(key)
        if kept is not None:
            has_sibling = kept.sibling is not None
            if not merges(kept.event_name, kept.informs(), name, outcome.informs(), has_sibling=has_sibling):
                return Offer.DUPLICATE
            self._settling[key] = kept.merged_with(outcome)
            return Offer.MERGED
        if outcome.ends_call and self._leg_has_ended(name, outcome.correlation_id):
            return Offer.DUPLICATE
        self._settling[key] = outcome
        return Offer.OPENED

    def name_of(self, outcome: Outcome, outcome_id: str) -> str:
        """The key of the outcome's end: ``outcome_id``, or :func:`informed` if hooks had the end without a reason.

        So the first outcome with a reason gets through as well, however late this outcome comes. While it settles,
        other reports are its siblings.
        """
        level = self._taken.get(outcome_id)
        if level is None:
            return outcome_id
        late = informed(outcome_id)
        return late if level < outcome.level or late in self._settling else outcome_id

    def take(self, outcome_id: str) -> Outcome | None:
        """Ends the settle time and returns the outcome for the hooks; ``None`` if the outcome was taken already.

        ``outcome_id`` is what :meth:`name_of` returned.
        """
        outcome = self._settling.pop(outcome_id, None)
        if outcome is not None:
            remember(self._taken, outcome_id, outcome.level, self._capacity)
        return outcome

    def _leg_has_ended(self, name: str, call: str | None) -> bool:
        """Whether this is Event Grid's CallEnded for a call of which a leg has reported its own end.

        CallEnded would add nothing. A CallEnded that still settles when the leg ends gives way to the leg.
        """
        if call is None:
            return False
        if name == "CallEnded":
            return call in self._calls
        remember(self._calls, call, None, self._capacity)
        whole = self._settling.get(f"call:{call}")
        if whole is not None and whole.event_name == "CallEnded" and whole.sibling is None:
            self.take(f"call:{call}")
        return False


def remember(kept: OrderedDict[K, V], key: K, value: V, capacity: int) -> None:
    """Keeps the pair, and of all pairs only the last ``capacity``."""
    kept[key] = value
    if len(kept) > capacity:
        kept.popitem(last=False)
