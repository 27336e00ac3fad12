"""Which calls to a contact there were and are to come. Every call counts once. Pure; for stores that plan redials.

A redial's call counts when the redial is planned, by the redial's key. Any other call counts when the call ends, by the
leg, which is the call connection id. The end of a redial's call must not count again: either the redial function
returns the leg that the function placed, or the end counts as that of the oldest redial whose leg is unknown.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ringback.stores.record import short
from ringback.work.items import CallRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Calls:
    """The calls to one contact. Times are seconds since the epoch, UTC. A key or leg may have any length."""

    def __init__(self, calls: Iterable[CallRecord] = ()) -> None:
        self._calls = {call.key: call for call in calls}

    def records(self, since: float = -math.inf) -> Sequence[CallRecord]:
        """The calls after ``since``, the oldest first."""
        return sorted((call for call in self._calls.values() if call.at > since), key=lambda call: call.at)

    def end(self, key: str, leg: str | None, now: float) -> None:
        """Count the call that has ended at ``now``, unless a redial placed it. ``key`` names a call without a leg."""
        name = short(f"leg:{leg or key}")
        if leg is not None:
            leg = short(leg)
            if any(call.leg == leg for call in self._calls.values()):
                return
            for call in self.records():
                if call.leg is None and call.at <= now:
                    self._calls[call.key] = replace(call, leg=leg)
                    return
        self._calls.setdefault(name, CallRecord(name, now, leg))

    def plan(self, key: str, at: float) -> None:
        """Count the call that the redial of this key is to place at the time ``at``."""
        self._calls[key] = CallRecord(key, at)

    def bind(self, key: str, leg: str) -> None:
        """The redial of this key has placed the call with this leg."""
        # If the call ended before the redial function returned, `end` has counted the call by its leg.
        self._calls.pop(short(f"leg:{leg}"), None)
        if key in self._calls:
            self._calls[key] = replace(self._calls[key], leg=short(leg))

    def cancel(self, key: str, attempts: int) -> None:
        """Count no call for the redial of this key, unless a worker attempted the redial: it may have placed a call."""
        if attempts == 0:
            self._calls.pop(key, None)
