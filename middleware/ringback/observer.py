"""Who is told what became of outcomes, hooks and redials, and who measures. The log and the telemetry implement it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from ringback.intake import Received, Reply
    from ringback.outcome import Outcome
    from ringback.stores.port import DeliveryStore


class Observer(Protocol):
    """Told of everything as it happens. Must not raise. Times in seconds."""

    def bound(self, outcome: Outcome) -> AbstractContextManager[None]:
        """A context in which log lines carry the outcome's ids."""
        ...

    def outcome_duplicate(self, outcome: Outcome) -> None: ...

    def outcome_unhandled(self, outcome: Outcome) -> None: ...

    def hook_failed(self, outcome: Outcome, hook: str, error: Exception, attempt: int, retry_in: float | None) -> None:
        """An attempt ended with an exception; ``retry_in`` is ``None`` if it was the last."""
        ...

    def hooks_abandoned(self, count: int, seconds: float) -> None:
        """Hooks were cancelled on shutdown, and are lost."""
        ...

    def hooks_given_back(self, count: int, seconds: float) -> None:
        """Hooks were cancelled on shutdown; another worker, or the next start, calls them again."""
        ...

    def hooks_volatile(self) -> None:
        """There are hooks and no store: a crash loses what waits."""
        ...

    def lifespan_missing(self) -> None:
        """There is a store, and the server did not say that the app starts."""
        ...

    def lease_lost(self, outcome: Outcome) -> None:
        """Another worker took the work over, because this one was not heard of in time."""
        ...

    def redial_scheduled(self, outcome: Outcome, at: float, number: int) -> None: ...

    def redial_exhausted(self, outcome: Outcome, limit: str) -> None: ...

    def redial_canceled(self, outcome: Outcome) -> None: ...

    def redial_placed(self, outcome: Outcome, number: int, leg: str | None) -> None: ...

    def redial_unknown(self, outcome: Outcome, number: int, reason: str) -> None:
        """Nobody can say whether the call was placed, so it is not placed again."""
        ...

    def store_unavailable(self, error: Exception) -> None: ...

    def store_bypassed(self, count: int) -> None:
        """The store cannot be used; so many outcomes are kept in memory instead."""
        ...


class DeliveryGauge(Protocol):
    """Measures one delivery, from its head to its answer. Nothing of it raises, and :meth:`end` may be called again."""

    def inside(self) -> AbstractContextManager[None]:
        """A context for a part of the work, the route included. What is raised inside goes on."""
        ...

    def answered(self, reply: Reply) -> None: ...

    def received(self, received: Received, body: bytes) -> None: ...

    def end(self) -> None: ...


class StoreGauge(Protocol):
    """Measures the work on what is in one store."""

    def observing(self, observer: Observer) -> Observer:
        """An observer that also measures."""
        ...

    def awake(self) -> None:
        """The store may be asked for its statistics, in the loop that runs."""
        ...

    def asleep(self) -> None:
        """It may no longer."""
        ...

    def hook(self, outcome: Outcome, hook: str, attempt: int) -> AbstractContextManager[None]:
        """A context for one attempt at a hook. What is raised inside goes on."""
        ...

    def redial(self, outcome: Outcome, hook: str, attempt: int) -> AbstractContextManager[None]: ...


class Gauge(Protocol):
    """Measures deliveries and hooks: :class:`ringback.telemetry.Telemetry`."""

    def delivery(self, headers: Iterable[tuple[bytes, bytes]]) -> DeliveryGauge: ...

    def over(self, store: DeliveryStore) -> StoreGauge: ...
