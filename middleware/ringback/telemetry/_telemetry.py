"""Where the entrance and the dispatcher report: a span for each delivery and each attempt at a hook, and metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace
from opentelemetry.context import attach, detach
from opentelemetry.trace import SpanKind

from ringback.hooks import GiveUp, Retry
from ringback.telemetry._attributes import clean, extras, of_event, of_outcome
from ringback.telemetry._metrics import Metrics, counting
from ringback.telemetry._traces import NOWHERE, Origins, below, blame, incoming, remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import SpanContext, TracerProvider

    from ringback.intake import Received, Reply
    from ringback.observer import Observer
    from ringback.outcome import Outcome
    from ringback.stores.port import DeliveryStore
    from ringback.telemetry._attributes import Attributes

NAME = "ringback"
"""The instrumentation scope of every span and metric."""

MOST_EVENTS = 32
"""Events of one delivery that its span tells of."""

_RESULTS = {
    200: "handshake",
    401: "refused",
    408: "interrupted",
    413: "too_large",
    431: "too_large",
    503: "unavailable",
}
_ENDS = ((Retry, "retry"), (GiveUp, "gave_up"), (TimeoutError, "timeout"))


class Telemetry:
    """Spans for deliveries and hooks, and metrics. Pass one to all that you switch on: ``telemetry=Telemetry()``.

    Without providers it uses the global ones of OpenTelemetry. ``clock`` measures durations, in seconds.
    """

    def __init__(
        self,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.tracer = trace.get_tracer(NAME, tracer_provider=tracer_provider)
        self.metrics = Metrics(metrics.get_meter(NAME, meter_provider=meter_provider), clock)
        self.origins = Origins()

    def delivery(self, headers: Iterable[tuple[bytes, bytes]]) -> DeliverySpan:
        """A request to the callback path begins. ``headers`` as in ASGI, names in lower case."""
        return DeliverySpan(self, headers)

    def over(self, store: DeliveryStore) -> QueueWatch:
        """Watch what is worked on in a store."""
        return QueueWatch(self, store)


class DeliverySpan:
    """The span of one request, from its head to its answer. It is counted when it ends, once.

    It is its own context manager, as every delivery needs one: parts of the work follow each other, and are not nested.
    """

    __slots__ = ("_context", "_ended", "_recording", "_result", "_span", "_telemetry", "_token")

    def __init__(self, telemetry: Telemetry, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._telemetry = telemetry
        self._result = "interrupted"
        self._ended = False
        self._token: Token[Context] | None = None
        self._span = telemetry.tracer.start_span("ringback delivery", incoming(headers), SpanKind.CONSUMER)
        self._context = self._span.get_span_context()
        self._recording = self._span.is_recording()

    def inside(self) -> DeliverySpan:
        """What runs inside finds the span in its context; what it raises is named in it, and goes on."""
        return self

    def __enter__(self) -> None:
        if self._context.is_valid:
            self._token = attach(trace.set_span_in_context(self._span))

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if self._token is not None:
            detach(self._token)
            self._token = None
        if isinstance(error, Exception):
            blame(self._span, error)

    def answered(self, reply: Reply) -> None:
        """Ringback has answered by itself."""
        self._result = _RESULTS.get(reply.status, "malformed")

    def received(self, received: Received, body: bytes) -> None:
        """It was accepted, and is kept if there is a store."""
        self._result = "accepted"
        for outcome in received.outcomes:
            self._telemetry.metrics.count_outcome(outcome)
        if self._context.is_valid:
            self._telemetry.origins.remember(received.outcomes, self._context)
        if self._recording:
            self._describe(received, body)

    def end(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._recording:
            self._span.set_attribute("ringback.result", self._result)
        self._span.end()
        self._telemetry.metrics.count_delivery(self._result)

    def _describe(self, received: Received, body: bytes) -> None:
        events = received.delivery.events
        self._span.set_attribute("ringback.events", len(events))
        judged = {id(each.event): each for each in received.outcomes}
        for event, extra in zip(events[:MOST_EVENTS], extras(body, len(events)), strict=False):
            told = of_event(event, extra.version)
            outcome = judged.get(id(event))
            self._span.add_event("ringback event", told if outcome is None else told | of_outcome(outcome))
            if extra.traceparent is not None and (sender := remote(extra.traceparent)) is not None:
                self._span.add_link(sender, told)


class QueueWatch:
    """What is worked on in one store: a span for each attempt at a hook, and how much waits."""

    def __init__(self, telemetry: Telemetry, store: DeliveryStore) -> None:
        self._telemetry = telemetry
        self._store = store
        self.queue = telemetry.metrics.queue(store)
        self.awake = self.queue.awake
        self.asleep = self.queue.asleep

    def observing(self, observer: Observer) -> Observer:
        """The observer, with redials counted on the way."""
        return counting(observer, self._telemetry.metrics)

    def hook(self, outcome: Outcome, hook: str, attempt: int) -> AbstractContextManager[None]:
        """One attempt at a hook. In memory it belongs to its delivery's trace."""
        origin = self._telemetry.origins.of(outcome)
        if origin is None or self._store.durable:
            return Attempt(self._telemetry, "ringback hook", outcome, hook, attempt, linked=origin)
        return Attempt(self._telemetry, "ringback hook", outcome, hook, attempt, context=below(origin))

    def redial(self, outcome: Outcome, hook: str, attempt: int) -> AbstractContextManager[None]:
        """One attempt at placing a redial, perhaps days after the delivery."""
        origin = self._telemetry.origins.of(outcome)
        return Attempt(self._telemetry, "ringback redial", outcome, hook, attempt, linked=origin)


class Attempt:
    """The span and the duration of one attempt, from when it is entered. Once."""

    __slots__ = ("_began", "_hook", "_span", "_telemetry", "_token")

    def __init__(
        self,
        telemetry: Telemetry,
        name: str,
        outcome: Outcome,
        hook: str,
        attempt: int,
        *,
        context: Context = NOWHERE,
        linked: SpanContext | None = None,
    ) -> None:
        self._telemetry = telemetry
        self._hook = clean(hook)
        self._span = telemetry.tracer.start_span(name, context, links=None if linked is None else [trace.Link(linked)])
        if self._span.is_recording():
            told: Attributes = {"ringback.hook": self._hook, "ringback.attempt": attempt}
            self._span.set_attributes(told | of_event(outcome.event, None) | of_outcome(outcome))

    def __enter__(self) -> None:
        self._began = self._telemetry.clock()
        self._token = attach(trace.set_span_in_context(self._span))

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        detach(self._token)
        result = _result(error)
        if error is not None and result in ("error", "timeout"):
            blame(self._span, error)
        self._span.set_attribute("ringback.result", result)
        self._span.end()
        self._telemetry.metrics.record_hook(self._telemetry.clock() - self._began, self._hook, result)


def _result(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    if not isinstance(error, Exception):
        # Cancelled, or thrown away with its loop.
        return "canceled"
    return next((word for kind, word in _ENDS if isinstance(error, kind)), "error")
