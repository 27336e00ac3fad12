"""Tells the log and the telemetry of each call that has ended, once the end has settled: how long, answered or not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ringback.exceptions import StoreError
from ringback.stores.memory import MemoryStore
from ringback.work.call_detail import Traces
from ringback.work.call_fold import ended_leg
from ringback.work.latch import Latch, Offer
from ringback_catalog import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ringback.core.outcome import Outcome
    from ringback.hooks.notebook import Notebook
    from ringback.hooks.observer import Observer, StoreGauge
    from ringback.work.items import DeliveryStore


@dataclass(eq=False, slots=True)
class CallEnds:
    """Reads the record of a call that has ended, and reports it. Nothing is read where nobody listens.

    ``clock`` gives seconds since the epoch.
    """

    store: DeliveryStore
    observer: Observer
    gauge: StoreGauge | None
    notebook: Notebook
    clock: Callable[[], float]
    _unhooked: Latch = field(default_factory=Latch)

    @property
    def heard(self) -> bool:
        """Whether the log or the telemetry wants to know of ends."""
        return self.gauge is not None or self.observer.hears_ends()

    async def tell(self, outcome: Outcome) -> None:
        """Reports an end, for the worker that is the first to claim it. A fault of the store costs what it knows."""
        if not self.heard:
            return
        traces = None
        try:
            if type(self.store) is MemoryStore:
                traces = self.store.recalled(outcome)
            else:
                await self.notebook.flush()
                traces = await self.store.call(outcome.outcome_id)
        except StoreError as error:
            self.observer.store_unavailable(error)
        self._say(outcome, traces)

    def settle(self, outcomes: Iterable[Outcome], seconds: float, store: MemoryStore) -> None:
        """Reports ends that no hook waits for, ``seconds`` from now, each with its sibling. ``store`` has the notes."""
        if not self.heard:
            return
        # The id alone names a call: a reason that comes late ends no second call.
        ends = [(each.outcome_id, each) for each in outcomes if each.scope is Scope.CALL]
        opened = [key for key, each in ends if self._unhooked.offer(each, key) is Offer.OPENED]
        if opened:
            asyncio.get_running_loop().call_later(seconds, self._settled, opened, store)

    def settle_all(self) -> None:
        """Reports the ends that still settle, because the process ends."""
        if isinstance(self.store, MemoryStore):
            self._settled(self._unhooked.settling(), self.store)

    def _settled(self, keys: Iterable[str], store: MemoryStore) -> None:
        for outcome in [each for key in keys if (each := self._unhooked.take(key)) is not None]:
            self._say(outcome, store.recalled(outcome))

    def _say(self, outcome: Outcome, traces: Traces | None) -> None:
        leg = ended_leg(outcome, traces or NOTHING, self.clock())
        self.observer.call_ended(outcome, leg)
        if self.gauge is not None:
            self.gauge.call_ended(outcome, leg)


NOTHING = Traces()
