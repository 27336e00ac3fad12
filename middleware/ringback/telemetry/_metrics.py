"""Ringback's metrics: counts, durations and queue lengths. No attribute has a word that a sender wrote."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from opentelemetry.metrics import Observation

from ringback.forks import lock
from ringback.telemetry._attributes import CLASSIFIED_BY, SETTLED_BY, settled_words
from ringback.work.deliveries import RESULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from opentelemetry.metrics import CallbackOptions, Meter

    from ringback.core.outcome import Outcome
    from ringback.hooks.observer import Observer
    from ringback.work.call_detail import EndedLeg
    from ringback.work.delivery_store import DeliveryStore
    from ringback.work.items import Stats

MOST_ATTEMPTS = 10
"""The metrics count later redials with this one."""

SHOWN_FOR = 300.0
"""Seconds. Without a new answer of the store, the metrics show its last numbers for so long."""

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LENGTHS = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Seconds: a voicemail box, a reminder, a conversation, a conference."""
_STATES = ("ready", "running", "done", "dead", "canceled")
_QUEUE: tuple[tuple[str, str, Callable[[Iterable[float]], float], str, str], ...] = (
    ("ringback.queue.oldest_due", "oldest_due", max, "s", "Age of the oldest item that is due"),
    ("ringback.redials.waiting", "redials", sum, "{redial}", "Redials that wait for their time or for the lane"),
    ("ringback.redials.in_progress", "redials_in_progress", sum, "{redial}", "Redials that have begun and not ended"),
    ("ringback.redials.paused", "redials_paused", max, "s", "Time until the service's pause of all redials ends"),
)
"""The gauges of the queue: name, field of the store's figures, how those of several stores make one, unit, words."""


class Metrics:
    """The instruments. ``clock`` gives seconds, for the age of a store's answer."""

    def __init__(self, meter: Meter, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.outcomes = Counts(CLASSIFIED_BY)
        self._calls = Counts(SETTLED_BY)
        # Series begin at zero: a series that begins with its first refusal shows no rate.
        self.deliveries = Counts(("result",), [(result,) for result in RESULTS])
        self._redials = Counts(("action", "attempt"))
        for name, observed, unit, description in (
            ("ringback.calls", self._calls.observed, "{call}", "Calls that ended, once each, when the end has settled"),
            ("ringback.outcomes", self.outcomes.observed, "{outcome}", "Events that were classified"),
            ("ringback.deliveries", self.deliveries.observed, "{delivery}", "Requests to the callback path"),
            ("ringback.redials", self._redials.observed, "{redial}", "What became of redials"),
        ):
            meter.create_observable_counter(name, [observed], unit, description)
        self.durations = meter.create_histogram(
            "ringback.hook.duration", "s", "Attempts at hooks", explicit_bucket_boundaries_advisory=_BUCKETS
        )
        self._calls_lasted = meter.create_histogram(
            "ringback.call.duration", "s", "Calls that were answered", explicit_bucket_boundaries_advisory=_LENGTHS
        )
        self._queues = WeakSet[Queue]()
        meter.create_observable_gauge("ringback.queue.items", [self._items], "{item}", "Items in the store, by state")
        for name, field, gather, unit, description in _QUEUE:
            meter.create_observable_gauge(name, [partial(self._now, field, gather)], unit, description)

    def queue(self, store: DeliveryStore) -> Queue:
        """Show what waits in a store, for as long as the caller keeps the returned queue."""
        queue = Queue(store, self._clock)
        self._queues.add(queue)
        return queue

    def count_call(self, outcome: Outcome, leg: EndedLeg) -> None:
        """Counts a call that has ended, and records how long the leg of this outcome talked, if events tell."""
        self._calls.add(settled_words(outcome))
        if leg.talk_seconds is not None:
            self._calls_lasted.record(leg.talk_seconds, {"cause": outcome.cause.value})

    def count_redial(self, action: str, number: int | None) -> None:
        self._redials.add((action, None if number is None else min(number, MOST_ATTEMPTS)))

    def _items(self, _: CallbackOptions) -> Iterator[Observation]:
        if known := self._known():
            for state in _STATES:
                yield Observation(sum(getattr(stats, state) for stats in known), {"state": state})

    def _now(self, field: str, gather: Callable[[Iterable[float]], float], _: CallbackOptions) -> Iterator[Observation]:
        if known := self._known():
            yield Observation(gather(getattr(stats, field) for stats in known))

    def _known(self) -> list[Stats]:
        return [stats for queue in list(self._queues) if (stats := queue.stats()) is not None]


class Counts:
    """Counts by attributes. The SDK's own counter would cost a delivery more than the classification does."""

    def __init__(self, names: tuple[str, ...], known: Iterable[tuple[str, ...]] = ()) -> None:
        self._names = names
        self._lock = lock()
        self._counts: dict[tuple[str | int | None, ...], int] = dict.fromkeys(known, 0)

    def add(self, values: tuple[str | int | None, ...]) -> None:
        with self._lock:
            self._counts[values] = self._counts.get(values, 0) + 1

    def observed(self, _: CallbackOptions) -> Iterator[Observation]:
        with self._lock:
            counts = list(self._counts.items())
        for values, count in counts:
            named = zip(self._names, values, strict=True)
            # Exporters need not know the enumerations that the words are members of.
            texts = (
                (name, value if isinstance(value, int) else str(value)) for name, value in named if value is not None
            )
            yield Observation(count, dict(texts))


class Queue:
    """How much waits in one store, by the store's last answer."""

    def __init__(self, store: DeliveryStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: Future[None] | None = None
        self._answer: tuple[float, Stats] | None = None

    def awake(self) -> None:
        """The running loop is from now on the loop in which the queue asks the store."""
        self._loop = asyncio.get_running_loop()

    def asleep(self) -> None:
        """Stop asking the store: the dispatcher is about to close it."""
        self._loop = self._answer = None
        if self._asked is not None:
            self._asked.cancel()

    def stats(self) -> Stats | None:
        """The store's last answer, ``None`` after :data:`SHOWN_FOR`. Asks again without waiting. For any thread."""
        loop, answer = self._loop, self._answer
        if loop is not None and loop.is_running() and (self._asked is None or self._asked.done()):
            asking = self._ask()
            try:
                self._asked = asyncio.run_coroutine_threadsafe(asking, loop)
            except RuntimeError:
                # The loop was closed in this moment.
                asking.close()
        return None if answer is None or self._clock() - answer[0] > SHOWN_FOR else answer[1]

    async def _ask(self) -> None:
        if self._loop is None:
            # Another thread has asked in the moment in which the queue fell asleep, and would open the closed store.
            return
        # The dispatcher reports a store that fails.
        with suppress(Exception):
            stats = await self._store.stats()
            self._answer = (self._clock(), stats)


class Counting:
    """An observer that counts redials and calls ``observer`` for everything."""

    def __init__(self, observer: Observer, metrics: Metrics) -> None:
        self._observer = observer
        self._metrics = metrics

    def __getattr__(self, name: str) -> Any:
        return getattr(self._observer, name)

    def redial_scheduled(self, outcome: Outcome, at: float, number: int) -> None:
        self._metrics.count_redial("scheduled", number)
        self._observer.redial_scheduled(outcome, at, number)

    def redial_exhausted(self, outcome: Outcome, limit: str) -> None:
        self._metrics.count_redial("exhausted", None)
        self._observer.redial_exhausted(outcome, limit)

    def redial_canceled(self, outcome: Outcome) -> None:
        self._metrics.count_redial("canceled", None)
        self._observer.redial_canceled(outcome)

    def redial_placed(self, outcome: Outcome, number: int, leg: str | None) -> None:
        self._metrics.count_redial("placed", number)
        self._observer.redial_placed(outcome, number, leg)

    def redial_unknown(self, outcome: Outcome, number: int, reason: str) -> None:
        self._metrics.count_redial("unknown", number)
        self._observer.redial_unknown(outcome, number, reason)
