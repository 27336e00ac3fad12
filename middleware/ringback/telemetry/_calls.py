"""Counts each call without a hook once, when the sibling event of the call's end has had time to come."""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import TYPE_CHECKING

from ringback.work.latch import Latch, Offer
from ringback_catalog import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ringback.core.outcome import Outcome


class Endings:
    """Ends of calls that wait for their sibling events, as a store lets them wait where there are hooks.

    There is no timer: :meth:`add` and :meth:`count_due` read ``clock``, in seconds, and call ``count`` with the
    merged outcome of each call whose time has come. Any thread may call the methods.
    """

    def __init__(self, count: Callable[[Outcome], None], clock: Callable[[], float]) -> None:
        self._count = count
        self._clock = clock
        self._lock = threading.Lock()
        self._latch = Latch()
        self._waiting = deque[tuple[float, str]]()

    def add(self, outcomes: Sequence[Outcome], settle: float) -> None:
        """Count the ends of calls among the outcomes in ``settle`` seconds, which never change."""
        with self._lock:
            now = self._clock()
            for outcome in outcomes:
                if outcome.scope is not Scope.CALL:
                    continue
                # The id alone names a call: a reason that comes late ends no second call.
                key = outcome.outcome_id
                if self._latch.offer(outcome, key) is Offer.OPENED:
                    self._waiting.append((now + settle, key))
            self._count_until(now)

    def count_due(self) -> None:
        """Count the calls that have settled by now."""
        with self._lock:
            self._count_until(self._clock())

    def count_all(self) -> None:
        """Count all calls that wait, settled or not, because the process ends."""
        with self._lock:
            self._count_until(math.inf)

    def _count_until(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            outcome = self._latch.take(self._waiting.popleft()[1])
            # None: Event Grid reported the end of the whole call, and a leg has reported a better reason since.
            if outcome is not None:
                self._count(outcome)
