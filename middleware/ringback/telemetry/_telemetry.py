"""The spans of deliveries and of attempts at hooks, and the metrics, that the exchange and the dispatcher report."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING, cast

from opentelemetry import metrics, trace
from opentelemetry.context import attach, detach
from opentelemetry.trace import SpanKind

from ringback.exceptions import ConfigurationError
from ringback.telemetry._attributes import clean, extras, of_event, of_outcome, words
from ringback.telemetry._metrics import Counting, Metrics
from ringback.telemetry._traces import NOWHERE, Origins, below, blame, incoming, remote
from ringback.work.deliveries import result_of
from ringback.work.policy import GiveUp, Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import SpanContext, TracerProvider

    from ringback.core.outcome import Outcome
    from ringback.hooks.observer import Observer
    from ringback.receiving.intake import Received
    from ringback.receiving.replies import Reply
    from ringback.telemetry._attributes import Attributes
    from ringback.work.deliveries import Result
    from ringback.work.delivery_store import DeliveryStore

NAME = "ringback"
"""The instrumentation scope of every span and metric."""

SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
"""The OpenTelemetry schema whose names ``error.type``, ``cloudevents.*`` and ``messaging.*`` are."""

MOST_EVENTS = 32
"""Events of one delivery in the delivery's span, at most."""

# The semantic conventions for messaging do not list Call Automation:
# https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
_CALL_AUTOMATION: Attributes = {
    "messaging.system": "azure_call_automation",
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
}
_EVENT_GRID: Attributes = {**_CALL_AUTOMATION, "messaging.system": "eventgrid"}
_ENDS = ((Retry, "retry"), (GiveUp, "gave_up"), (TimeoutError, "timeout"))


class Telemetry:
    """Spans for deliveries and hooks, and metrics. Pass the same one everywhere: ``telemetry=Telemetry()``.

    ``None`` is OpenTelemetry's global provider. ``clock`` gives seconds, for durations.
    """

    def __init__(
        self,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        release = version(NAME)
        for name, given, makes in (
            ("meter_provider", meter_provider, "get_meter"),
            ("tracer_provider", tracer_provider, "get_tracer"),
        ):
            if given is not None and not hasattr(given, makes):
                raise ConfigurationError(
                    f"{name} {given!r} has no {makes}; pass a provider, such as that of your OpenTelemetry set-up, or "
                    "leave it out for the global one"
                )
        self.tracer = trace.get_tracer(NAME, release, tracer_provider, SCHEMA)
        self.metrics = Metrics(metrics.get_meter(NAME, release, meter_provider, SCHEMA), clock)
        self.origins = Origins()

    def delivery(self, headers: Iterable[tuple[bytes, bytes]]) -> DeliverySpan:
        """Begin the span of a request to the callback path. ``headers`` are ASGI's, with names in lower case."""
        return DeliverySpan(self, headers)

    def over(self, store: DeliveryStore) -> QueueWatch:
        """The spans and metrics of the work in one store."""
        return QueueWatch(self, store)


class DeliverySpan:
    """The span of one request, from the request's head to the answer. :meth:`end` counts the request, once.

    The span is its own context manager, which saves an object for each delivery. Uses follow each other and never nest.
    """

    __slots__ = ("_context", "_ended", "_recording", "_result", "_span", "_telemetry", "_token")

    def __init__(self, telemetry: Telemetry, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._telemetry = telemetry
        self._result: Result = "interrupted"
        self._ended = False
        self._token: Token[Context] | None = None
        self._span = telemetry.tracer.start_span(
            "ringback delivery", incoming(headers), SpanKind.CONSUMER, _sender(headers)
        )
        self._context = self._span.get_span_context()
        self._recording = self._span.is_recording()

    def inside(self) -> DeliverySpan:
        """A context manager: its body runs in the span. The span names an exception of the body and lets it pass."""
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
        """The exchange has answered without the app."""
        self._result = result_of(reply.status)

    def received(self, received: Received, body: bytes) -> None:
        """The exchange has accepted the delivery; a store, if there is one, has it."""
        self._result = "accepted"
        for outcome in received.outcomes:
            self._telemetry.metrics.outcomes.add(words(outcome))
        if self._context.is_valid:
            self._telemetry.origins.remember(received.outcomes, self._context)
        if self._recording:
            self._describe(received, body)

    def end(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._recording:
            self._span.set_attribute("result", self._result)
        self._span.end()
        self._telemetry.metrics.deliveries.add((self._result,))

    def _describe(self, received: Received, body: bytes) -> None:
        events = received.delivery.events
        self._span.set_attribute("messaging.batch.message_count", len(events))
        outcomes = {id(outcome.event): outcome for outcome in received.outcomes}
        for event, extra in zip(events[:MOST_EVENTS], extras(body, len(events)), strict=False):
            attributes = of_event(event, extra.version)
            outcome = outcomes.get(id(event))
            self._span.add_event("ringback event", attributes if outcome is None else attributes | of_outcome(outcome))
            if extra.traceparent is not None and (sender := remote(extra.traceparent)) is not None:
                self._span.add_link(sender, attributes)


class QueueWatch:
    """The work in one store: a span for each attempt at a hook, and the metrics of the queue."""

    def __init__(self, telemetry: Telemetry, store: DeliveryStore) -> None:
        self._telemetry = telemetry
        self._store = store
        self.queue = telemetry.metrics.queue(store)
        self.awake = self.queue.awake
        self.asleep = self.queue.asleep
        self.call_ended = telemetry.metrics.count_call

    def observing(self, observer: Observer) -> Observer:
        return cast("Observer", Counting(observer, self._telemetry.metrics))

    def hook(self, outcome: Outcome, hook: str, attempt: int) -> AbstractContextManager[None]:
        """The span of one attempt at a hook: with a store in memory in the delivery's trace, else linked to it."""
        origin = self._telemetry.origins.of(outcome)
        if origin is None or self._store.durable:
            return Attempt(self._telemetry, "ringback hook", outcome, hook, attempt, linked=origin)
        return Attempt(self._telemetry, "ringback hook", outcome, hook, attempt, context=below(origin))

    def redial(self, outcome: Outcome, hook: str, attempt: int) -> AbstractContextManager[None]:
        """The span of one attempt at placing a redial: linked to the delivery, which may be days old."""
        origin = self._telemetry.origins.of(outcome)
        return Attempt(self._telemetry, "ringback redial", outcome, hook, attempt, linked=origin)


class Attempt:
    """A context manager that records the span and the duration of one attempt."""

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
            own: Attributes = {"hook": self._hook, "attempt": attempt}
            self._span.set_attributes(own | of_event(outcome.event, None) | of_outcome(outcome))

    def __enter__(self) -> None:
        self._began = self._telemetry.clock()
        self._token = attach(trace.set_span_in_context(self._span))

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        detach(self._token)
        result = _result(error)
        if error is not None and result in ("error", "timeout"):
            blame(self._span, error)
        self._span.set_attribute("result", result)
        self._span.end()
        lasted = self._telemetry.clock() - self._began
        self._telemetry.metrics.durations.record(lasted, {"hook": self._hook, "result": result})


def _sender(headers: Iterable[tuple[bytes, bytes]]) -> Attributes:
    """The attributes of the sender. Only Event Grid sends headers such as aeg-event-type."""
    for name, _ in headers:
        if name[:4] == b"aeg-":
            return _EVENT_GRID
    return _CALL_AUTOMATION


def _result(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    if not isinstance(error, Exception):
        # The attempt was cancelled, or its loop was closed.
        return "canceled"
    return next((word for kind, word in _ENDS if isinstance(error, kind)), "error")
