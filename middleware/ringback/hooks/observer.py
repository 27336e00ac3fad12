"""The methods by which the dispatcher reports to the log and the telemetry what happens to outcomes and hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from ringback.core.outcome import Outcome
    from ringback.receiving.intake import Received
    from ringback.receiving.replies import Reply
    from ringback.work.call_detail import EndedLeg
    from ringback.work.delivery_store import DeliveryStore


class Observer(Protocol):
    """The dispatcher calls one method for each fact, when the fact happens. No method may raise. Times in seconds."""

    def outcomes_duplicate(self, outcomes: Sequence[Outcome]) -> None:
        """These outcomes of one delivery, one at least, were told before or came too late to change what was told."""

    def writes_ends(self) -> Callable[[Outcome, EndedLeg], None] | None:
        """What writes once that a leg's end has settled, before its hooks; ``None`` if the log takes no such line."""
        ...

    def outcome_unhandled(self, outcome: Outcome) -> None: ...

    def hook_failed(self, outcome: Outcome, hook: str, error: Exception, attempt: int, retry_in: float | None) -> None:
        """An attempt ended with an exception. ``retry_in`` is ``None`` after the last attempt."""

    def hook_overran(self, outcome: Outcome, hook: str, seconds: float, held: int, threads: int) -> None:
        """A sync function has overrun its time-out and runs on; such functions hold ``held`` of ``threads`` threads."""

    def hooks_abandoned(self, count: int, seconds: float) -> None:
        """The shutdown cancelled ``count`` hooks after ``seconds``, and their outcomes are lost."""

    def hooks_given_back(self, count: int, seconds: float) -> None:
        """The shutdown cancelled ``count`` hooks after ``seconds``. Another worker or the next start calls them."""

    def hooks_volatile(self, processes: int) -> None:
        """The app has hooks and no store, or redials in memory; ``processes`` serve the app, this one included."""

    def lifespan_missing(self, *, durable: bool) -> None:
        """A delivery for a hook came, and no lifespan has started the engine. Its store is ``durable`` or in memory."""

    def lease_lost(self, outcome: Outcome) -> None:
        """Another worker took the claim over, because this worker did not renew the lease in time."""

    def loop_blocked(self, hook: str | None, seconds: float) -> None:
        """``hook``, or ``None`` for other code, has blocked the event loop for ``seconds``. Any thread calls this."""

    def redial_scheduled(self, outcome: Outcome, at: float, number: int) -> None: ...

    def redial_put_off(self, outcome: Outcome, at: float, number: int) -> None:
        """The redial is due, and hours, limits or ``may_call`` allow the call from ``at`` on."""
        ...

    def redial_exhausted(self, outcome: Outcome, limit: str) -> None: ...

    def redial_skipped(self, outcome: Outcome, reason: str) -> None: ...

    def redial_canceled(self, outcome: Outcome) -> None: ...

    def redials_paused(self, outcome: Outcome, seconds: float) -> None:
        """The service has answered 429 to the redial of this outcome, and no redial is placed for that long."""

    def redial_placed(self, outcome: Outcome, number: int, leg: str | None) -> None: ...

    def redial_zone_unset(self, redial: str) -> None:
        """The policy of the redial reads the contact's clock, and nobody told the time zone."""

    def redial_unknown(self, outcome: Outcome, number: int, reason: str) -> None:
        """The call may have been placed, so no further attempt is made."""

    def store_unavailable(self, error: Exception) -> None:
        """The store cannot be used, or the wall clock was set (:class:`~ringback.exceptions.ClockJumped`)."""

    def store_bypassed(self, count: int) -> None:
        """The store cannot be used, so ``count`` outcomes are kept in memory instead."""


class DeliveryGauge(Protocol):
    """Measures one delivery, from its head to its answer. No method raises, and :meth:`end` may be called again."""

    def inside(self) -> AbstractContextManager[None]:
        """A context for a part of the work, such as the route. The context lets every exception through."""
        ...

    def answered(self, reply: Reply) -> None: ...

    def received(self, received: Received, body: bytes) -> None: ...

    def end(self) -> None: ...


class StoreGauge(Protocol):
    """Measures the work on the items of one store."""

    def observing(self, observer: Observer) -> Observer:
        """An observer that measures, and calls ``observer`` for everything."""
        ...

    def call_ended(self, outcome: Outcome, leg: EndedLeg) -> None:
        """The end of a leg has settled, whether or not the log has a line of that."""

    def awake(self) -> None:
        """From now on the gauge may read the store's statistics, in the running loop."""

    def asleep(self) -> None:
        """From now on the gauge must not read the store."""

    def hook(self, outcome: Outcome, hook: str, attempt: int) -> AbstractContextManager[None]:
        """A context for one attempt at a hook. The context lets every exception through."""
        ...

    def redial(self, outcome: Outcome, hook: str, attempt: int) -> AbstractContextManager[None]: ...


class Gauge(Protocol):
    """Measures deliveries and hooks: :class:`ringback.telemetry.Telemetry`."""

    def delivery(self, headers: Iterable[tuple[bytes, bytes]]) -> DeliveryGauge: ...

    def over(self, store: DeliveryStore) -> StoreGauge: ...
