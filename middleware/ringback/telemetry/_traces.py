"""Which trace something belongs to: the sender's, the app's, its delivery's, or one of its own."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ringback.telemetry._attributes import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opentelemetry.trace import Span, SpanContext

    from ringback.outcome import Outcome

REMEMBERED = 10_000
"""Outcomes whose delivery's span is remembered for the spans of their hooks."""

NOWHERE = trace.set_span_in_context(trace.INVALID_SPAN, Context())
"""A context for what begins a trace, whatever runs around it."""

_propagator = TraceContextTextMapPropagator()


def incoming(headers: Iterable[tuple[bytes, bytes]]) -> Context | None:
    """The context that a request begins in: the app's own if it traces requests, else the sender's."""
    for name, _ in headers:
        if name == b"traceparent":
            return None if trace.get_current_span().get_span_context().is_valid else _told(headers)
    # What is current is the app's own, or nothing.
    return None


def _told(headers: Iterable[tuple[bytes, bytes]]) -> Context:
    carrier: dict[str, str] = {}
    for name, value in headers:
        if name in (b"traceparent", b"tracestate"):
            key, text = name.decode("latin-1"), value.decode("latin-1")
            # Several are one with commas, which is none of a traceparent.
            carrier[key] = f"{carrier[key]},{text}" if key in carrier else text
    return _propagator.extract(carrier, NOWHERE)


def remote(traceparent: object) -> SpanContext | None:
    """The span that an event names as its origin; ``None`` if it names none."""
    if not isinstance(traceparent, str):
        return None
    context = _propagator.extract({"traceparent": traceparent}, NOWHERE)
    found = trace.get_current_span(context).get_span_context()
    return found if found.is_valid else None


def below(origin: SpanContext) -> Context:
    """A context for children of a span that is no longer at hand."""
    return trace.set_span_in_context(trace.NonRecordingSpan(origin), NOWHERE)


def blame(span: Span, error: BaseException) -> None:
    """What an exception says may name a number: only its class is told."""
    span.set_attribute("error.type", clean(type(error).__qualname__))
    span.set_status(Status(StatusCode.ERROR))


class Origins:
    """Which span an outcome was received in: of the latest ``most``, in this process."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._spans: OrderedDict[str, SpanContext] = OrderedDict()

    def remember(self, outcomes: Sequence[Outcome], origin: SpanContext) -> None:
        with self._lock:
            for outcome in outcomes:
                # Of several events of one ending the first is what the hooks follow.
                self._spans.setdefault(outcome.outcome_id, origin)
            while len(self._spans) > self._most:
                self._spans.popitem(last=False)

    def of(self, outcome: Outcome) -> SpanContext | None:
        return self._spans.get(outcome.outcome_id)
