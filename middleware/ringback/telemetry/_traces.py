"""The trace of a span: the sender's, the app's, the delivery's, or a new one."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ringback.forks import lock
from ringback.telemetry._attributes import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opentelemetry.trace import Span

    from ringback.core.outcome import Outcome

REMEMBERED = 10_000
"""Outcomes for whose hooks :class:`Origins` remembers the delivery's span."""

NOWHERE = trace.set_span_in_context(trace.INVALID_SPAN, Context())
"""The context of a span that begins a trace, whatever span is current."""

_propagator = TraceContextTextMapPropagator()


def incoming(headers: Iterable[tuple[bytes, bytes]]) -> Context | None:
    """The context of a request's span: the app's own if the app traces requests, else the sender's."""
    for name, _ in headers:
        if name == b"traceparent":
            return None if trace.get_current_span().get_span_context().is_valid else _senders(headers)
    # None is the current context: the app's own, or empty.
    return None


def _senders(headers: Iterable[tuple[bytes, bytes]]) -> Context:
    carrier: dict[str, str] = {}
    for name, value in headers:
        if name in (b"traceparent", b"tracestate"):
            key, text = name.decode("latin-1"), value.decode("latin-1")
            # RFC 9110, section 5.3, joins equal headers with commas, which makes two traceparents invalid.
            carrier[key] = f"{carrier[key]},{text}" if key in carrier else text
    return _propagator.extract(carrier, NOWHERE)


def remote(traceparent: object) -> SpanContext | None:
    """The span that an event's ``traceparent`` names; ``None`` if it names none."""
    if not isinstance(traceparent, str):
        return None
    context = _propagator.extract({"traceparent": traceparent}, NOWHERE)
    found = trace.get_current_span(context).get_span_context()
    return found if found.is_valid else None


def below(origin: SpanContext) -> Context:
    """The context of children of a span that has ended."""
    if origin.trace_flags.sampled:
        # Microsoft's sampler drops the children of a local parent that does not record, so the parent becomes remote.
        origin = SpanContext(origin.trace_id, origin.span_id, True, origin.trace_flags, origin.trace_state)
    return trace.set_span_in_context(trace.NonRecordingSpan(origin), NOWHERE)


def blame(span: Span, error: BaseException) -> None:
    """Mark the span as failed. It names the exception's class only: a message may hold a phone number."""
    span.set_attribute("error.type", clean(type(error).__qualname__))
    span.set_status(Status(StatusCode.ERROR))


class Origins:
    """The delivery's span context by outcome, for the latest ``most`` outcomes of this process."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._lock = lock()
        self._spans: OrderedDict[str, SpanContext] = OrderedDict()

    def remember(self, outcomes: Sequence[Outcome], origin: SpanContext) -> None:
        with self._lock:
            for outcome in outcomes:
                # The hooks follow the first of several events of one ending.
                self._spans.setdefault(outcome.outcome_id, origin)
            while len(self._spans) > self._most:
                self._spans.popitem(last=False)

    def of(self, outcome: Outcome) -> SpanContext | None:
        return self._spans.get(outcome.outcome_id)
