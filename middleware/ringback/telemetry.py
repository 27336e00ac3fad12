"""Spans and metrics through OpenTelemetry's API: all of Ringback that knows its name. docs/telemetry.md lists them.

Nothing of Ringback imports this module; an app that wants telemetry does. What strangers and people wrote
reaches a span only redacted, and reaches a metric not at all: those have words of closed sets, the names of
your own functions and small numbers.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import OrderedDict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet

import msgspec
from msgspec import Struct

from ringback.exceptions import ConfigurationError
from ringback.hooks import GiveUp, Retry
from ringback.redaction import redact
from ringback_catalog import CALL_EVENTS, OPERATION_EVENTS

try:
    from opentelemetry import metrics, trace
    from opentelemetry.context import Context
    from opentelemetry.metrics import Observation
    from opentelemetry.trace import SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    raise ConfigurationError(f"telemetry needs the extra otel ({error}); pip install 'ringback[otel]'") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from contextlib import AbstractContextManager

    from opentelemetry.metrics import CallbackOptions, MeterProvider
    from opentelemetry.trace import Span, SpanContext, TracerProvider

    from ringback.events import Event
    from ringback.intake import Received, Reply
    from ringback.observer import Observer
    from ringback.outcome import Outcome
    from ringback.stores.port import DeliveryStore, Stats

NAME = "ringback"
"""The instrumentation scope of every span and metric."""

MOST_EVENTS = 32
"""Events of one delivery that its span tells of."""

MOST_ATTEMPTS = 10
"""Redials after this one are counted with it."""

SHOWN_FOR = 300.0
"""Seconds for which a queue's numbers are shown while its store does not answer again."""

REMEMBERED = 10_000
"""Outcomes whose delivery's span is remembered for the spans of their hooks."""

_LONGEST = 256
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_KNOWN = CALL_EVENTS | OPERATION_EVENTS
_STATES = ("ready", "running", "done", "dead", "canceled")
_RESULTS = {
    200: "handshake",
    401: "refused",
    408: "interrupted",
    413: "too_large",
    431: "too_large",
    503: "unavailable",
}

Attributes = dict[str, str | int]


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
        meter = metrics.get_meter(NAME, meter_provider=meter_provider)
        self.clock = clock
        self.tracer = trace.get_tracer(NAME, tracer_provider=tracer_provider)
        self.origins = _Origins()
        self._outcomes = _Counts(("event", "cause", "category", "disposition", "match"))
        self._deliveries = _Counts(("result",))
        self._redials = _Counts(("action", "attempt"))
        for name, counts, unit, told in (
            ("ringback.outcomes", self._outcomes, "{outcome}", "Events that were classified"),
            ("ringback.deliveries", self._deliveries, "{delivery}", "Requests to the callback path"),
            ("ringback.redials", self._redials, "{redial}", "What became of redials"),
        ):
            meter.create_observable_counter(name, [counts.observed], unit, told)
        self._durations = meter.create_histogram(
            "ringback.hook.duration", "s", "Attempts at hooks", explicit_bucket_boundaries_advisory=_BUCKETS
        )
        self._queues = WeakSet[QueueWatch]()
        items, oldest = "Items in the store, by state", "Age of the oldest item that is due"
        meter.create_observable_gauge("ringback.queue.items", [self._items], "{item}", items)
        meter.create_observable_gauge("ringback.queue.oldest_due", [self._oldest_due], "s", oldest)

    def delivery(self, headers: Iterable[tuple[bytes, bytes]]) -> DeliverySpan:
        """A request to the callback path begins. ``headers`` as in ASGI, names in lower case."""
        return DeliverySpan(self, headers)

    def over(self, store: DeliveryStore) -> QueueWatch:
        """Watch what is worked on in a store."""
        queue = QueueWatch(self, store)
        self._queues.add(queue)
        return queue

    def count_delivery(self, result: str) -> None:
        self._deliveries.add((result,))

    def count_outcome(self, outcome: Outcome) -> None:
        self._outcomes.add(_words(outcome))

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


class _Counts:
    """Counts by attributes, added up here: an SDK's own counter costs each delivery more than its classification."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._lock = threading.Lock()
        self._counts: dict[tuple[str | int | None, ...], int] = {}

    def add(self, values: tuple[str | int | None, ...]) -> None:
        with self._lock:
            self._counts[values] = self._counts.get(values, 0) + 1

    def observed(self, _: CallbackOptions) -> Iterator[Observation]:
        with self._lock:
            counts = list(self._counts.items())
        for values, count in counts:
            named = zip(self._names, values, strict=True)
            yield Observation(count, {name: value for name, value in named if value is not None})


class DeliverySpan:
    """The span of one request, from its head to its answer. It is counted when it ends, once."""

    def __init__(self, telemetry: Telemetry, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._telemetry = telemetry
        self._result = "interrupted"
        self._ended = False
        self._span = telemetry.tracer.start_span("ringback delivery", _incoming(headers), SpanKind.CONSUMER)

    @contextmanager
    def inside(self) -> Generator[None]:
        """What runs inside finds the span in its context; what it raises is named in it, and goes on."""
        with _current(self._span):
            try:
                yield
            except Exception as error:
                _blame(self._span, error)
                raise

    def answered(self, reply: Reply) -> None:
        """Ringback has answered by itself."""
        self._result = _RESULTS.get(reply.status, "malformed")

    def received(self, received: Received, body: bytes) -> None:
        """It was accepted, and is kept if there is a store."""
        self._result = "accepted"
        for outcome in received.outcomes:
            self._telemetry.count_outcome(outcome)
        self._telemetry.origins.remember(received.outcomes, self._span.get_span_context())
        if self._span.is_recording():
            self._describe(received, body)

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._span.set_attribute("ringback.result", self._result)
            self._span.end()
            self._telemetry.count_delivery(self._result)

    def _describe(self, received: Received, body: bytes) -> None:
        events = received.delivery.events
        self._span.set_attribute("ringback.events", len(events))
        judged = {id(each.event): each for each in received.outcomes}
        extras = _extras(body)
        if len(extras) != len(events):
            # Elements that are no events: what belongs to which cannot be told.
            extras = [_Extra()] * len(events)
        for event, extra in list(zip(events, extras, strict=True))[:MOST_EVENTS]:
            attributes = _cloud_event(event, extra.version)
            outcome = judged.get(id(event))
            if outcome is not None:
                attributes |= _of_outcome(outcome)
            self._span.add_event("ringback event", attributes)
            if (sender := _remote(extra.traceparent)) is not None:
                self._span.add_link(sender, _cloud_event(event, extra.version))


class QueueWatch:
    """What is worked on in one store: a span for each attempt at a hook, and how much waits."""

    def __init__(self, telemetry: Telemetry, store: DeliveryStore) -> None:
        self._telemetry = telemetry
        self._store = store
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: Future[Stats] | None = None
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
                self._asked = cast("Future[Stats]", asyncio.run_coroutine_threadsafe(asking, loop))
            except RuntimeError:
                # Closed in this very moment.
                asking.close()
        if told is None or self._telemetry.clock() - told[0] > SHOWN_FOR:
            return None
        return told[1]

    async def _ask(self) -> None:
        # A store that cannot be used is reported by those who need it.
        with suppress(Exception):
            told = await self._store.stats()
            self._told = (self._telemetry.clock(), told)

    def observing(self, observer: Observer) -> Observer:
        """The observer, with redials counted on the way."""
        return cast("Observer", _Counting(observer, self._telemetry))

    def hook(self, outcome: Outcome, hook: str, attempt: int) -> AbstractContextManager[None]:
        """One attempt at a hook. In memory it belongs to its delivery's trace."""
        origin = self._telemetry.origins.of(outcome)
        if origin is None or self._store.durable:
            return self._attempt("ringback hook", outcome, hook, attempt, None, origin)
        parent = trace.set_span_in_context(trace.NonRecordingSpan(origin), _NOWHERE)
        return self._attempt("ringback hook", outcome, hook, attempt, parent, None)

    def redial(self, outcome: Outcome, hook: str, attempt: int) -> AbstractContextManager[None]:
        """One attempt at placing a redial, perhaps days after the delivery."""
        return self._attempt("ringback redial", outcome, hook, attempt, None, self._telemetry.origins.of(outcome))

    @contextmanager
    def _attempt(
        self, span_name: str, outcome: Outcome, hook: str, attempt: int, parent: Any, linked: SpanContext | None
    ) -> Generator[None]:
        name = _clean(hook)
        span = self._telemetry.tracer.start_span(
            span_name,
            _NOWHERE if parent is None else parent,
            links=None if linked is None else [trace.Link(linked)],
        )
        if span.is_recording():
            attributes = _cloud_event(outcome.event, None) | _of_outcome(outcome)
            span.set_attributes({"ringback.hook": name, "ringback.attempt": attempt, **attributes})
        began = self._telemetry.clock()
        # What stands if we are cancelled, or thrown away with our loop.
        result = "canceled"
        try:
            with _current(span):
                yield
            result = "ok"
        except Exception as error:
            result = next((word for kind, word in _ENDS if isinstance(error, kind)), "error")
            if result in ("error", "timeout"):
                _blame(span, error)
            raise
        finally:
            span.set_attribute("ringback.result", result)
            span.end()
            self._telemetry.record_hook(self._telemetry.clock() - began, name, result)


class _Counting:
    """An observer that counts redials and hands everything on."""

    def __init__(self, observer: Observer, telemetry: Telemetry) -> None:
        self._observer = observer
        self._telemetry = telemetry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._observer, name)

    def redial_scheduled(self, outcome: Outcome, at: float, number: int) -> None:
        self._telemetry.count_redial("scheduled", number)
        self._observer.redial_scheduled(outcome, at, number)

    def redial_exhausted(self, outcome: Outcome, limit: str) -> None:
        self._telemetry.count_redial("exhausted", None)
        self._observer.redial_exhausted(outcome, limit)

    def redial_canceled(self, outcome: Outcome) -> None:
        self._telemetry.count_redial("canceled", None)
        self._observer.redial_canceled(outcome)

    def redial_placed(self, outcome: Outcome, number: int, leg: str | None) -> None:
        self._telemetry.count_redial("placed", number)
        self._observer.redial_placed(outcome, number, leg)

    def redial_unknown(self, outcome: Outcome, number: int, reason: str) -> None:
        self._telemetry.count_redial("unknown", number)
        self._observer.redial_unknown(outcome, number, reason)


class _Origins:
    """Which span an outcome was received in: of the latest, in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: OrderedDict[str, SpanContext] = OrderedDict()

    def remember(self, outcomes: Sequence[Outcome], origin: SpanContext) -> None:
        if not origin.is_valid:
            return
        with self._lock:
            for outcome in outcomes:
                # Of several events of one ending the first is what the hooks follow.
                self._spans.setdefault(outcome.outcome_id, origin)
            while len(self._spans) > REMEMBERED:
                self._spans.popitem(last=False)

    def of(self, outcome: Outcome) -> SpanContext | None:
        return self._spans.get(outcome.outcome_id)


class _Extra(Struct):
    """What an element says that no outcome needs."""

    specversion: Any = None
    specVersion: Any = None  # noqa: N815 - as some deliveries have it
    traceparent: Any = None

    @property
    def version(self) -> str | None:
        found = self.specversion or self.specVersion
        return found if isinstance(found, str) else None


def classified(outcome: Outcome) -> Attributes:
    """What an outcome is counted by: words of closed sets, whatever the sender wrote."""
    return dict(zip(("event", "cause", "category", "disposition", "match"), _words(outcome), strict=True))


def _words(outcome: Outcome) -> tuple[str, ...]:
    name = outcome.event_name
    return (
        name if name in _KNOWN else "other",
        outcome.cause.value,
        outcome.category.value,
        outcome.disposition.value,
        outcome.match.value,
    )


def _of_outcome(outcome: Outcome) -> Attributes:
    told = {f"ringback.{name}": value for name, value in classified(outcome).items()}
    return {"ringback.outcome_id": _clean(outcome.outcome_id), **told}


def _cloud_event(event: Event, version: str | None) -> Attributes:
    """OpenTelemetry's attributes of a CloudEvent; what is missing is left out."""
    told = {
        "cloudevents.event_id": event.id,
        "cloudevents.event_source": None if event.source is None else _HIDDEN.sub("", event.source),
        "cloudevents.event_spec_version": version,
        "cloudevents.event_type": event.type,
    }
    return {name: _clean(text) for name, text in told.items() if text is not None}


def _clean(text: str) -> str:
    # Redacted before it is cut: half a number is no number to the redaction. Exporters refuse lone surrogates.
    return redact(text)[:_LONGEST].encode("utf-8", "backslashreplace").decode()


def _extras(body: bytes) -> list[_Extra]:
    content = body.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n")
    try:
        if content[:1] == b"[":
            return _array.decode(content)
        return [_object.decode(content)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def _incoming(headers: Iterable[tuple[bytes, bytes]]) -> Any:
    """The context that a request runs in: the app's own if it traces requests, else the sender's."""
    if trace.get_current_span().get_span_context().is_valid:
        return None
    carrier: dict[str, str] = {}
    for name, value in headers:
        if name in (b"traceparent", b"tracestate"):
            key, text = name.decode("latin-1"), value.decode("latin-1")
            # Several are one with commas, which is none of a traceparent.
            carrier[key] = f"{carrier[key]},{text}" if key in carrier else text
    return _propagator.extract(carrier, _NOWHERE)


def _remote(traceparent: object) -> SpanContext | None:
    if not isinstance(traceparent, str):
        return None
    context = _propagator.extract({"traceparent": traceparent}, _NOWHERE)
    found = trace.get_current_span(context).get_span_context()
    return found if found.is_valid else None


def _current(span: Span) -> AbstractContextManager[Any]:
    # What an exception says may name a number: only its class is told, and not here.
    return trace.use_span(span, record_exception=False, set_status_on_exception=False)


def _blame(span: Span, error: Exception) -> None:
    span.set_attribute("error.type", _clean(type(error).__qualname__))
    span.set_status(Status(StatusCode.ERROR))


_ENDS = ((Retry, "retry"), (GiveUp, "gave_up"), (TimeoutError, "timeout"))
_NOWHERE = trace.set_span_in_context(trace.INVALID_SPAN, Context())
# What a URL may hide; stores leave it out, too.
_HIDDEN = re.compile(r"(?<=//)[^/?#]*@|[?#].*", re.DOTALL)
_propagator = TraceContextTextMapPropagator()
_array = msgspec.json.Decoder(list[_Extra])
_object = msgspec.json.Decoder(_Extra)
