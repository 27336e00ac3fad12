"""What is counted and timed, and how much waits in the stores. No attribute has a word that a sender wrote."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet

from opentelemetry.metrics import Observation

from ringback.telemetry._attributes import CLASSIFIED_BY, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from opentelemetry.metrics import CallbackOptions, Meter

    from ringback.observer import Observer
    from ringback.outcome import Outcome
    from ringback.stores.port import DeliveryStore, Stats

RESULTS = ("accepted", "malformed", "refused", "unavailable", "handshake", "too_large", "interrupted")
"""What may become of a delivery."""

MOST_ATTEMPTS = 10
"""Redials after this one are counted with it."""

SHOWN_FOR = 300.0
"""Seconds for which a queue's numbers are shown while its store does not answer again."""

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_STATES = ("ready", "running", "done", "dead", "canceled")


class Metrics:
    """The instruments. ``clock`` says how old an answer of a store is, in seconds."""

    def __init__(self, meter: Meter, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._outcomes = Counts(CLASSIFIED_BY)
        # From zero: nobody sees the rate of a series that begins with its first refusal.
        self._deliveries = Counts(("result",), [(each,) for each in RESULTS])
        self._redials = Counts(("action", "attempt"))
        for name, counts, unit, told in (
            ("ringback.outcomes", self._outcomes, "{outcome}", "Events that were classified"),
            ("ringback.deliveries", self._deliveries, "{delivery}", "Requests to the callback path"),
            ("ringback.redials", self._redials, "{redial}", "What became of redials"),
        ):
            meter.create_observable_counter(name, [counts.observed], unit, told)
        self._durations = meter.create_histogram(
            "ringback.hook.duration", "s", "Attempts at hooks", explicit_bucket_boundaries_advisory=_BUCKETS
        )
        self._queues = WeakSet[Queue]()
        items, oldest = "Items in the store, by state", "Age of the oldest item that is due"
        meter.create_observable_gauge("ringback.queue.items", [self._items], "{item}", items)
        meter.create_observable_gauge("ringback.queue.oldest_due", [self._oldest_due], "s", oldest)

    def queue(self, store: DeliveryStore) -> Queue:
        """Show what waits in a store, for as long as what is returned lives."""
        queue = Queue(store, self._clock)
        self._queues.add(queue)
        return queue

    def count_delivery(self, result: str) -> None:
        self._deliveries.add((result,))

    def count_outcome(self, outcome: Outcome) -> None:
        self._outcomes.add(words(outcome))

    def count_redial(self, action: str, number: int | None) -> None:
        self._redials.add((action, None if number is None else min(number, MOST_ATTEMPTS)))

    def record_hook(self, seconds: float, hook: str, result: str) -> None:
        self._durations.record(seconds, {"hook": hook, "result": result})

    def _items(self, _: CallbackOptions) -> Iterator[Observation]:
        if known := self._known():
            for state in _STATES:
                yield Observation(sum(getattr(each, state) for each in known), {"state": state})

    def _oldest_due(self, _: CallbackOptions) -> Iterator[Observation]:
        if known := self._known():
            yield Observation(max(each.oldest_due for each in known))

    def _known(self) -> list[Stats]:
        found = [queue.stats() for queue in list(self._queues)]
        return [each for each in found if each is not None]


class Counts:
    """Counts by attributes, added up here: an SDK's own counter costs each delivery more than its classification."""

    def __init__(self, names: tuple[str, ...], known: Iterable[tuple[str, ...]] = ()) -> None:
        self._names = names
        self._lock = threading.Lock()
        self._counts: dict[tuple[str | int | None, ...], int] = dict.fromkeys(known, 0)

    def add(self, values: tuple[str | int | None, ...]) -> None:
        with self._lock:
            self._counts[values] = self._counts.get(values, 0) + 1

    def observed(self, _: CallbackOptions) -> Iterator[Observation]:
        with self._lock:
            counts = list(self._counts.items())
        for values, count in counts:
            named = zip(self._names, values, strict=True)
            # The words are members of enumerations, which exporters need not know.
            told = {name: value if isinstance(value, int) else str(value) for name, value in named if value is not None}
            yield Observation(count, told)


class Queue:
    """How much waits in one store, as it said last."""

    def __init__(self, store: DeliveryStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: Future[None] | None = None
        self._told: tuple[float, Stats] | None = None

    def awake(self) -> None:
        """The store may be asked in the loop that runs."""
        self._loop = asyncio.get_running_loop()

    def asleep(self) -> None:
        """The store is about to be closed, and must not be asked."""
        self._loop = self._told = None
        if self._asked is not None:
            self._asked.cancel()

    def stats(self) -> Stats | None:
        """What the store said last, unless that is long ago; asks it again, and does not wait. For any thread."""
        loop, told = self._loop, self._told
        if loop is not None and loop.is_running() and (self._asked is None or self._asked.done()):
            asking = self._ask()
            try:
                self._asked = asyncio.run_coroutine_threadsafe(asking, loop)
            except RuntimeError:
                # Closed in this very moment.
                asking.close()
        if told is None or self._clock() - told[0] > SHOWN_FOR:
            return None
        return told[1]

    async def _ask(self) -> None:
        # A store that cannot be used is reported by those who need it.
        with suppress(Exception):
            told = await self._store.stats()
            self._told = (self._clock(), told)


def counting(observer: Observer, metrics: Metrics) -> Observer:
    """The observer, with redials counted on the way."""
    return cast("Observer", _Counting(observer, metrics))


class _Counting:
    """An observer that counts redials and hands everything on."""

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
