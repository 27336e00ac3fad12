"""Spans and metrics: what they say, what they keep to themselves, and that they cost nothing while switched off."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import get_current
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from starlette.applications import Starlette
from starlette.requests import Request  # noqa: TC002 - the decorator reads the annotations
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringback import (
    CallbackHandler,
    CallOutcomeMiddleware,
    ConfigurationError,
    GiveUp,
    Outcome,
    OutcomeRouter,
    RedialPolicy,
    Refusal,
    Retry,
    Stats,
    StoreUnavailable,
)
from ringback.dispatch import Dispatcher
from ringback.events import Event
from ringback.intake import Intake, Received
from ringback.logs import LogObserver
from ringback.stores import MemoryStore
from ringback.stores.sqlite import SQLiteStore
from ringback.telemetry import Telemetry
from ringback.telemetry._attributes import CLASSIFIED_BY, KNOWN, clean, of_event, words
from ringback.telemetry._metrics import RESULTS, SHOWN_FOR
from ringback.telemetry._telemetry import MOST_EVENTS
from ringback.telemetry._traces import Origins
from ringback_catalog import Catalog, Cause, Disposition, Match, ResultCategory

if TYPE_CHECKING:
    from collections.abc import Callable

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
CALL = "1f0e5c1a-0000-4000-8000-000000000002"
EVENT = "1f0e5c1a-0000-4000-8000-000000000003"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
OTHER = "00-11111111111111111111111111111111-2222222222222222-01"
PATH = "/api/callbacks"


def event(name: str = "CallDisconnected", code: int = 486, subcode: int = 560486, **more: Any) -> dict[str, Any]:
    return {
        "id": EVENT,
        "source": f"calling/callConnections/{LEG}?secret=hush-hush-hush",
        "type": f"Microsoft.Communication.{name}",
        "data": {
            "callConnectionId": LEG,
            "correlationId": CALL,
            "resultInformation": {"code": code, "subCode": subcode, "message": "Busy. +1 555 0100"},
        },
        "time": "2026-01-02T03:04:05+00:00",
        "specversion": "1.0",
        **more,
    }


def delivery(*events: object) -> bytes:
    return json.dumps(events or [event()]).encode()


CLOUD_EVENT = {
    "cloudevents.event_id": EVENT,
    "cloudevents.event_source": f"calling/callConnections/{LEG}",
    "cloudevents.event_spec_version": "1.0",
    "cloudevents.event_type": "Microsoft.Communication.CallDisconnected",
}
CLASSIFIED = {
    "event": "CallDisconnected",
    "cause": "busy",
    "category": "Success",
    "disposition": "retryable",
    "match": "pair",
}
OUTCOME = {"ringback.outcome_id": f"call:{LEG}", **{f"ringback.{name}": value for name, value in CLASSIFIED.items()}}
STORED = {name: value for name, value in CLOUD_EVENT.items() if name != "cloudevents.event_spec_version"}


class Sight:
    """Telemetry into memory, with a clock that the test turns."""

    def __init__(self, **options: Any) -> None:
        self.now = 0.0
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        tracers = TracerProvider(shutdown_on_exit=False, **options)
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.tracer = tracers.get_tracer("app")
        self.telemetry = Telemetry(meters, tracers, clock=lambda: self.now)

    def spans(self, name: str) -> list[Any]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    @property
    def delivery(self) -> Any:
        (span,) = self.spans("ringback delivery")
        return span

    def metrics(self) -> dict[str, Any]:
        """Every data point: a counter's or gauge's value, a histogram's count and sum, by its attributes.

        Without results that no delivery has had.
        """
        found = self.reader.get_metrics_data()
        told: dict[str, Any] = {}
        for each in () if found is None else found.resource_metrics[0].scope_metrics[0].metrics:
            told[each.name] = [
                (dict(point.attributes), point.value if hasattr(point, "value") else (point.count, point.sum))
                for point in each.data.data_points
                if each.name != "ringback.deliveries" or point.value
            ]
        return {name: points for name, points in told.items() if points}


@pytest.fixture
def sight() -> Sight:
    return Sight()


async def accepted(request: Request) -> Response:
    return JSONResponse({"trace": trace.get_current_span().get_span_context().trace_id})


def behind(sight: Sight, route: Callable[..., Any] = accepted, router: OutcomeRouter | None = None, **more: Any) -> Any:
    app = Starlette(routes=[Route(PATH, route, methods=["GET", "POST", "OPTIONS"])])
    more = {"auth": None, "settle": 0.0} | more
    return CallOutcomeMiddleware(app, router=router or OutcomeRouter(), path=PATH, telemetry=sight.telemetry, **more)


def decorated(sight: Sight, route: Callable[..., Any] = accepted, **more: Any) -> Any:
    router = OutcomeRouter(settle=0.0, telemetry=sight.telemetry, store=more.pop("store", None))
    endpoint = router.callback(**({"auth": None} | more))(route)
    return Starlette(routes=[Route(PATH, endpoint, methods=["GET", "POST", "OPTIONS"])])


async def ask(app: Any, method: str = "POST", **more: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, PATH, **more)


async def settled(until: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not until():  # noqa: ASYNC110 - it is not ours to set an event
            await asyncio.sleep(0.005)


BOTH = pytest.mark.parametrize("made", [behind, decorated], ids=["middleware", "decorator"])


@BOTH
async def test_a_delivery_is_a_span_in_the_senders_trace(sight: Sight, made: Callable[..., Any]) -> None:
    """The whole span: its name, kind, parent, attributes and what it says of its event; the route runs inside."""
    answer = await ask(made(sight), content=delivery(), headers={"traceparent": TRACEPARENT, "tracestate": "a=b"})
    span = sight.delivery
    assert (span.kind, f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (
        SpanKind.CONSUMER,
        TRACE,
        PARENT,
    )
    assert span.context.trace_state.to_header() == "a=b"
    assert answer.json()["trace"] == span.context.trace_id
    assert dict(span.attributes) == {"ringback.events": 1, "ringback.result": "accepted"}
    assert [(each.name, dict(each.attributes)) for each in span.events] == [("ringback event", CLOUD_EVENT | OUTCOME)]
    assert (span.links, span.status.status_code) == ((), StatusCode.UNSET)
    told = sight.metrics()
    assert told["ringback.deliveries"] == [({"result": "accepted"}, 1)]
    assert told["ringback.outcomes"] == [(CLASSIFIED, 1)]


async def test_an_app_that_traces_requests_is_the_parent(sight: Sight) -> None:
    """A span that is current already is nearer than the sender's."""
    app = behind(sight)

    async def traced(scope: Any, receive: Any, send: Any) -> None:
        with sight.tracer.start_as_current_span("server"):
            await app(scope, receive, send)

    await ask(traced, content=delivery(), headers={"traceparent": TRACEPARENT})
    (server,) = sight.spans("server")
    assert sight.delivery.parent == server.context


async def test_two_parents_are_none(sight: Sight) -> None:
    """A traceparent that is repeated is not one."""
    headers = [("traceparent", TRACEPARENT), ("traceparent", OTHER)]
    await ask(behind(sight), content=delivery(), headers=headers)
    assert sight.delivery.parent is None


async def test_events_with_a_trace_of_their_own_are_linked(sight: Sight) -> None:
    """The CloudEvents attribute traceparent is a link; one that is none is not."""
    events = [event(traceparent=OTHER), event(traceparent="00-nonsense"), event(traceparent=7)]
    await ask(behind(sight), content=b"\xef\xbb\xbf " + delivery(*events))
    (link,) = sight.delivery.links
    assert (f"{link.context.trace_id:032x}", dict(link.attributes)) == ("1" * 32, CLOUD_EVENT)


async def test_a_bare_event_and_one_that_is_no_outcome_are_told(sight: Sight) -> None:
    """Events without an outcome are events, too; the version is read however it is spelled."""
    bare = {"type": "Microsoft.Communication.ParticipantsUpdated", "specVersion": "1.0", "data": {}}
    await ask(behind(sight), content=json.dumps(bare).encode())
    (told,) = sight.delivery.events
    assert dict(told.attributes) == {
        "cloudevents.event_spec_version": "1.0",
        "cloudevents.event_type": "Microsoft.Communication.ParticipantsUpdated",
    }
    assert "ringback.outcomes" not in sight.metrics()


async def test_elements_that_are_no_events_cost_the_version(sight: Sight) -> None:
    """With a fault among the elements nobody can tell which version is whose."""
    await ask(behind(sight), content=delivery({}, event()))
    await ask(behind(sight), content=delivery(7, event()))
    told = [dict(each.attributes) for span in sight.spans("ringback delivery") for each in span.events]
    assert told == [STORED | OUTCOME] * 2


async def test_a_batch_is_told_of_up_to_a_bound(sight: Sight) -> None:
    """All outcomes are counted, and the span stays small."""
    await ask(behind(sight), content=delivery(*[event()] * 40))
    assert (sight.delivery.attributes["ringback.events"], len(sight.delivery.events)) == (40, MOST_EVENTS)
    assert sight.metrics()["ringback.outcomes"] == [(CLASSIFIED, 40)]


async def test_what_is_not_sampled_is_counted() -> None:
    """Metrics do not depend on sampling."""
    sight = Sight(sampler=ALWAYS_OFF)
    router = OutcomeRouter()
    called: list[Outcome] = []
    router.on_retryable(called.append)
    await ask(behind(sight, router=router), content=delivery())
    await settled(lambda: called and "ringback.hook.duration" in sight.metrics())
    assert sight.exporter.get_finished_spans() == ()
    assert sight.metrics()["ringback.outcomes"] == [(CLASSIFIED, 1)]


async def refused(_: object) -> Refusal:
    return Refusal("token_missing")


class Announced:
    """Refuses every sender, unless the body proves to be the handshake that the head announces."""

    async def __call__(self, _: object) -> Refusal:
        return Refusal("token_missing")

    def allows_handshake(self, _: object) -> bool:
        return True


async def undecided(_: object) -> Refusal:
    return Refusal("keys_unavailable", status=503)


VALIDATION = json.dumps(
    [
        {
            "id": EVENT,
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "data": {"validationCode": "512d38b6-0000-4000-8000-000000000004"},
        }
    ]
).encode()


@BOTH
@pytest.mark.parametrize(
    ("options", "request_", "result"),
    [
        ({}, {"content": b"{"}, "malformed"),
        ({}, {"content": delivery(), "headers": {"content-encoding": "gzip"}}, "malformed"),
        ({"max_body": 10}, {"content": delivery()}, "too_large"),
        ({"max_headers": 1}, {"content": delivery()}, "too_large"),
        ({"auth": refused}, {"content": delivery()}, "refused"),
        ({"auth": undecided}, {"content": delivery()}, "unavailable"),
        ({}, {"content": VALIDATION, "headers": {"aeg-event-type": "SubscriptionValidation"}}, "handshake"),
        ({}, {"method": "OPTIONS", "headers": {"webhook-request-origin": "eventgrid.azure.net"}}, "handshake"),
    ],
    ids=["no JSON", "encoded", "body", "headers", "refused", "undecided", "Event Grid", "CloudEvents"],
)
async def test_a_delivery_that_is_answered_here_is_counted_by_its_result(
    sight: Sight, made: Callable[..., Any], options: dict[str, Any], request_: dict[str, Any], result: str
) -> None:
    """Every way to answer a request has its word, and the span says nothing else of it."""
    await ask(made(sight, **options), **request_)
    assert dict(sight.delivery.attributes) == {"ringback.result": result}
    assert sight.metrics()["ringback.deliveries"] == [({"result": result}, 1)]


@BOTH
async def test_other_requests_are_not_measured(sight: Sight, made: Callable[..., Any]) -> None:
    """What is neither a delivery nor a handshake is the route's own."""
    for method in ("GET", "OPTIONS"):
        assert (await ask(made(sight), method)).status_code == 200
    assert (sight.exporter.get_finished_spans(), sight.metrics()) == ((), {})


@BOTH
async def test_a_route_that_raises_is_named_by_its_class_alone(sight: Sight, made: Callable[..., Any]) -> None:
    """What an exception says may name a number."""

    async def route(request: Request) -> Response:
        raise LookupError("+1 555 0100")

    assert (await ask(made(sight, route), content=delivery())).status_code == 500
    span = sight.delivery
    assert dict(span.attributes) == {
        "error.type": "LookupError",
        "ringback.events": 1,
        "ringback.result": "accepted",
    }
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert [each.name for each in span.events] == ["ringback event"]


class Away(MemoryStore):
    """A store that persists, if it were there."""

    durable = True

    async def put(self, items: Any) -> Any:
        raise StoreUnavailable(f"{len(items)} items cannot be kept")


@BOTH
async def test_a_store_that_is_away_makes_the_delivery_unavailable(sight: Sight, made: Callable[..., Any]) -> None:
    """The sender is asked to come again, and nothing is counted as an outcome."""
    assert (await ask(made(sight, store=Away()), content=delivery())).status_code == 503
    assert dict(sight.delivery.attributes) == {"ringback.result": "unavailable"}
    assert "ringback.outcomes" not in sight.metrics()


@pytest.mark.parametrize(
    ("auth", "result"), [(None, "interrupted"), (Announced(), "refused")], ids=["let in", "refused"]
)
@BOTH
async def test_a_sender_that_leaves_is_counted(sight: Sight, made: Callable[..., Any], auth: Any, result: str) -> None:
    """Nobody was answered, and the span has ended."""

    async def leave() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None: ...

    scope = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "query_string": b"",
        "headers": [(b"aeg-event-type", b"SubscriptionValidation")],
    }
    await made(sight, auth=auth)(scope, leave, send)
    assert sight.metrics()["ringback.deliveries"] == [({"result": result}, 1)]
    assert dict(sight.delivery.attributes) == {"ringback.result": result}


async def test_a_handler_without_a_framework_measures_up_to_the_route(sight: Sight) -> None:
    """The span ends when what was received is kept: the route is somebody else's."""
    handler = CallbackHandler(OutcomeRouter(), auth=None, settle=0.0, telemetry=sight.telemetry)
    received = await handler.receive(delivery(), {"traceparent": TRACEPARENT})
    assert isinstance(received, Received)
    assert dict(sight.delivery.attributes) == {"ringback.events": 1, "ringback.result": "accepted"}
    assert (await handler.handle(b"", {})).status == 400
    assert sight.metrics()["ringback.deliveries"] == [({"result": "accepted"}, 1), ({"result": "malformed"}, 1)]


async def raising(error: BaseException | None) -> None:
    if error is not None:
        raise error


@pytest.mark.parametrize(
    ("error", "result", "blamed"),
    [
        (None, "ok", None),
        (Retry("+1 555 0100"), "retry", None),
        (GiveUp("+1 555 0100"), "gave_up", None),
        (TimeoutError("+1 555 0100"), "timeout", "TimeoutError"),
        (ValueError("+1 555 0100"), "error", "ValueError"),
        (asyncio.CancelledError(), "canceled", None),
    ],
    ids=["ok", "retry", "gave up", "timeout", "error", "canceled"],
)
async def test_an_attempt_at_a_hook_is_a_span_and_a_duration(
    sight: Sight, error: BaseException | None, result: str, blamed: str | None
) -> None:
    """The whole span and the whole data point for every way out; what is raised goes on."""
    received = Intake(Catalog.default()).receive({}, delivery())
    assert isinstance(received, Received)
    store = MemoryStore()
    queue = sight.telemetry.over(store)
    caught: BaseException | None = None
    try:
        with queue.hook(received.outcomes[0], "jobs.call_again", 2):
            sight.now += 1.5
            await raising(error)
    except BaseException as raised:
        caught = raised
    assert caught is error
    (span,) = sight.spans("ringback hook")
    told = {"ringback.hook": "jobs.call_again", "ringback.attempt": 2, "ringback.result": result}
    told |= {} if blamed is None else {"error.type": blamed}
    assert dict(span.attributes) == STORED | OUTCOME | told
    assert (span.parent, span.links, span.events, span.kind) == (None, (), (), SpanKind.INTERNAL)
    assert (span.status.status_code, span.status.description) == (
        StatusCode.UNSET if blamed is None else StatusCode.ERROR,
        None,
    )
    assert sight.metrics()["ringback.hook.duration"] == [({"hook": "jobs.call_again", "result": result}, (1, 1.5))]


async def test_in_memory_a_hook_belongs_to_the_deliverys_trace(sight: Sight) -> None:
    """Its span is a child of the delivery's, and current while the hook runs."""
    router = OutcomeRouter()
    inside: list[int] = []

    @router.on_retryable
    def call_again(outcome: Outcome) -> None:
        inside.append(trace.get_current_span().get_span_context().span_id)

    await ask(behind(sight, router=router), content=delivery())
    await settled(lambda: sight.spans("ringback hook"))
    (span,) = sight.spans("ringback hook")
    assert (span.parent, [span.context.span_id]) == (sight.delivery.context, inside)
    assert span.context.trace_id == sight.delivery.context.trace_id


async def test_from_a_store_a_hook_is_a_trace_of_its_own_with_a_link(sight: Sight, tmp_path: Path) -> None:
    """A store keeps no trace; a delivery that this process received is linked."""
    router = OutcomeRouter()
    called: list[Outcome] = []
    router.on_retryable(called.append)
    app = behind(sight, router=router, store=SQLiteStore(tmp_path / "ringback.db"))
    await ask(app, content=delivery())
    await settled(lambda: sight.spans("ringback hook"))
    await app._dispatcher.drain(5)
    (span,) = sight.spans("ringback hook")
    assert (span.parent, [link.context for link in span.links]) == (None, [sight.delivery.context])


async def test_the_first_delivery_of_an_ending_is_remembered_and_not_for_ever(sight: Sight) -> None:
    """A sibling's span does not replace it; the oldest are forgotten; no span leaves no trace."""
    sight.telemetry.origins = Origins(1)
    intake = Intake(Catalog.default())
    spans = []
    outcomes = []
    for leg in (LEG, LEG, CALL):
        body = delivery(event(data={"callConnectionId": leg}))
        received = intake.receive({}, body)
        assert isinstance(received, Received)
        gauge = sight.telemetry.delivery([])
        gauge.received(received, body)
        gauge.end()
        gauge.end()
        outcomes.append(received.outcomes[0])
        spans.append((sight.telemetry.origins.of(outcomes[0]), sight.spans("ringback delivery")[-1].context))
    assert [each[0] for each in spans] == [spans[0][1], spans[0][1], None]
    assert sight.telemetry.origins.of(outcomes[2]) == spans[2][1]
    assert sight.metrics()["ringback.deliveries"] == [({"result": "accepted"}, 3)]


async def test_without_spans_no_trace_is_remembered(sight: Sight) -> None:
    """With metrics alone a route finds the context that was there."""
    sight.telemetry.tracer = trace.NoOpTracer()
    received = Intake(Catalog.default()).receive({}, delivery())
    assert isinstance(received, Received)
    gauge = sight.telemetry.delivery([])
    before = get_current()
    with gauge.inside():
        assert get_current() is before
        gauge.received(received, delivery())
    gauge.end()
    assert sight.telemetry.origins.of(received.outcomes[0]) is None
    assert sight.metrics()["ringback.deliveries"] == [({"result": "accepted"}, 1)]


async def test_a_redial_is_a_span_and_counted(sight: Sight) -> None:
    """Scheduled, then placed: one of each, with the number of the call to the contact."""
    router = OutcomeRouter()

    @router.redial(policy=RedialPolicy(delays={Cause.BUSY: 0.0}, jitter=0.0), contact=lambda _: "contact-1")
    async def call(outcome: Outcome) -> str:
        return "leg-2"

    await ask(behind(sight, router=router), content=delivery())
    await settled(lambda: sight.spans("ringback redial"))
    (span,) = sight.spans("ringback redial")
    assert (span.parent, [link.context for link in span.links]) == (None, [sight.delivery.context])
    await settled(lambda: len(sight.metrics()["ringback.redials"]) == 2)
    assert sight.metrics()["ringback.redials"] == [
        ({"action": "scheduled", "attempt": 2}, 1),
        ({"action": "placed", "attempt": 2}, 1),
    ]


class Heard:
    """Stands for an observer: keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *told: self.told.append((name, *told))


async def test_the_observer_is_told_all_that_is_counted(sight: Sight) -> None:
    """Counting takes nothing away; the number of the call is capped, and left out where there is none."""
    received = Intake(Catalog.default()).receive({}, delivery())
    assert isinstance(received, Received)
    outcome = received.outcomes[0]
    heard = Heard()
    observer = sight.telemetry.over(MemoryStore()).observing(heard)  # type: ignore[arg-type]
    said = [
        ("redial_scheduled", outcome, 12.0, 11),
        ("redial_scheduled", outcome, 12.0, 10),
        ("redial_exhausted", outcome, "max_attempts"),
        ("redial_canceled", outcome),
        ("redial_placed", outcome, 2, "leg-2"),
        ("redial_unknown", outcome, 3, "why"),
        ("store_bypassed", 4),
    ]
    for name, *told in said:
        getattr(observer, name)(*told)
    assert heard.told == said
    assert sight.metrics()["ringback.redials"] == [
        ({"action": "scheduled", "attempt": 10}, 2),
        ({"action": "exhausted"}, 1),
        ({"action": "canceled"}, 1),
        ({"action": "placed", "attempt": 2}, 1),
        ({"action": "unknown", "attempt": 3}, 1),
    ]


class Counted(MemoryStore):
    """A store whose statistics the test sets."""

    def __init__(self, told: Stats | Exception, held: asyncio.Event | None = None) -> None:
        super().__init__()
        self.told = told
        self.held = held
        self.asked = 0

    async def stats(self) -> Stats:
        self.asked += 1
        if self.held is not None:
            await self.held.wait()
        if isinstance(self.told, Exception):
            raise self.told
        return self.told


async def test_gauges_show_what_the_store_said_last(sight: Sight) -> None:
    """Collecting asks and does not wait: the answer is there for the next. Two stores are added up."""
    stores = Counted(Stats(1, 2, 3, 4, 5, 6, 7.0)), Counted(Stats(10, oldest_due=2.0))
    queues = [sight.telemetry.metrics.queue(store) for store in stores]
    assert sight.metrics() == {}
    for queue in queues:
        queue.awake()
    assert sight.metrics() == {}
    await settled(lambda: all(queue.stats() for queue in queues))
    items = {"ready": 11, "running": 2, "done": 3, "dead": 4, "canceled": 5}
    assert sight.metrics() == {
        "ringback.queue.items": [({"state": state}, number) for state, number in items.items()],
        "ringback.queue.oldest_due": [({}, 7.0)],
    }


async def test_gauges_show_nothing_that_is_old(sight: Sight) -> None:
    """A store that no longer answers has no numbers, and is asked one question at a time."""
    held = asyncio.Event()
    held.set()
    store = Counted(Stats(ready=1), held)
    queue = sight.telemetry.metrics.queue(store)
    queue.awake()
    await settled(queue.stats)
    await settled(lambda: queue._asked is not None and queue._asked.done())
    held.clear()
    asked = store.asked
    sight.now = SHOWN_FOR
    assert queue.stats() == Stats(ready=1)
    sight.now += 0.1
    assert queue.stats() is None
    await asyncio.sleep(0.02)
    assert (queue.stats(), store.asked) == (None, asked + 1)
    queue.asleep()
    await asyncio.sleep(0.02)
    assert queue.stats() is None


async def test_a_store_that_is_away_has_no_numbers(sight: Sight) -> None:
    """Its fault is reported by those who need it, not here."""
    store = Counted(StoreUnavailable("away"))
    queue = sight.telemetry.metrics.queue(store)
    queue.awake()
    queue.stats()
    await settled(lambda: store.asked)
    assert queue.stats() is None
    queue.asleep()


async def test_a_loop_that_closes_in_this_moment_is_nobody_to_ask(sight: Sight) -> None:
    """The question is dropped."""

    class Closing:
        def is_running(self) -> bool:
            return True

        def call_soon_threadsafe(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("Event loop is closed")

    queue = sight.telemetry.metrics.queue(MemoryStore())
    queue._loop = Closing()  # type: ignore[assignment]
    assert queue.stats() is None
    queue.asleep()


async def test_a_dispatcher_says_when_its_store_may_be_asked(sight: Sight, tmp_path: Path) -> None:
    """From the start until it drains; afterwards the store stays closed."""
    dispatcher = Dispatcher(
        OutcomeRouter(),
        LogObserver(),
        store=SQLiteStore(tmp_path / "ringback.db"),
        on_store_failure="inline",
        telemetry=sight.telemetry,
    )
    await dispatcher.start()
    await settled(lambda: "ringback.queue.items" in sight.metrics())
    await dispatcher.drain(5)
    assert sight.metrics() == {}


def sets(words: Any) -> frozenset[str]:
    return frozenset(each.value for each in words)


ALLOWED = {
    "event": KNOWN | {"other"},
    "cause": sets(Cause),
    "category": sets(ResultCategory),
    "disposition": sets(Disposition),
    "match": sets(Match),
}
PRIVATE = (
    "+15550100123",
    "4:+15550100123",
    "8:acs:1f0e5c1a-0000-4000-8000-00000000000a_00000000-1111-2222-3333-444444444444",
    "sip:anna@example.test",
    "Bearer abc123.def456",
    "https://example.test/cb?secret=hush-hush-hush",
)
LEAKS = ("5550100123", "8:acs:", "anna@", "abc123", "hush")
texts = st.one_of(
    st.sampled_from(PRIVATE),
    st.builds(
        lambda before, told: f"{before} {told}",
        st.sampled_from(["", "to", "x" * 245]),
        st.sampled_from(PRIVATE),
    ),
)


@settings(deadline=None, max_examples=60)
@given(
    name=st.one_of(st.sampled_from(sorted(ALLOWED["event"])), texts),
    text=texts,
    code=st.integers(0, 700),
    subcode=st.integers(0, 9999),
)
def test_nothing_private_reaches_an_attribute(name: str, text: str, code: int, subcode: int) -> None:
    """Whatever a sender writes, metrics have closed sets, and spans have it redacted."""
    sight = Sight()
    told = event(name, code, subcode) | {"id": text, "source": text, "specversion": text, "subject": text}
    told["traceparent"] = OTHER
    told["data"] |= {"callConnectionId": text, "correlationId": text, "operationContext": text}
    told["data"]["resultInformation"]["message"] = text
    body = delivery(told)
    received = Intake(Catalog.default()).receive({}, body)
    assert isinstance(received, Received)
    gauge = sight.telemetry.delivery([(b"authorization", b"Bearer abc123.def456")])
    gauge.received(received, body)
    gauge.end()
    queue = sight.telemetry.over(MemoryStore())
    for outcome in received.outcomes:
        for attempt in (queue.hook, queue.redial):
            with pytest.raises(ValueError, match=r"^"), attempt(outcome, f"jobs.\ud800 {text}", 1):
                raise ValueError(text)
    spans = sight.exporter.get_finished_spans()
    everything = [span.to_json() for span in spans]
    assert not [leak for leak in LEAKS for each in everything if leak in each]
    metrics = sight.metrics()
    for attributes, _ in metrics.get("ringback.outcomes", []):
        assert attributes.keys() == ALLOWED.keys()
        assert all(value in ALLOWED[key] for key, value in attributes.items())
    assert not [leak for leak in LEAKS if leak in repr(metrics)]


GUIDS = st.uuids().map(str)


@settings(deadline=None)
@given(
    leg=st.one_of(GUIDS, texts, st.from_regex(r"[0-9A-Za-z_:=+.-]{0,30}", fullmatch=True), st.text(max_size=300)),
    kind=st.one_of(st.sampled_from(sorted(KNOWN)), texts),
)
def test_what_is_told_without_a_look_would_have_stood_it(leg: str, kind: str) -> None:
    """The short ways around the redaction lead where the redaction leads."""
    told = Event(id=leg, source=f"calling/callConnections/{leg}", type=f"Microsoft.Communication.{kind}")
    attributes = of_event(told, leg)
    assert attributes == {
        "cloudevents.event_id": clean(leg),
        "cloudevents.event_source": clean(re.sub(r"(?s)(?<=//)[^/?#]*@|[?#].*", "", told.source or "")),
        "cloudevents.event_spec_version": clean(leg),
        "cloudevents.event_type": clean(told.type),
    }
    assert all(len(str(text).encode()) <= 4 * 256 for text in attributes.values())


def test_deliveries_are_counted_from_zero(sight: Sight) -> None:
    """The first refusal is a step up from what was there, which a rate can see."""
    found = sight.reader.get_metrics_data()
    assert found is not None
    (metric,) = found.resource_metrics[0].scope_metrics[0].metrics
    told = {dict(point.attributes or {})["result"]: point.value for point in metric.data.data_points}  # type: ignore[union-attr]
    assert told == dict.fromkeys(RESULTS, 0)
    words = page("telemetry.md").partition("**`result` of a delivery:**")[2].partition("- **")[0]
    assert set(re.findall(r"`(\w+)`", words)) == set(RESULTS)


def test_an_unknown_event_is_counted_as_other(sight: Sight) -> None:
    """A name that the service or a stranger invents makes no series of its own."""
    received = Intake(Catalog.default()).receive({}, delivery(event("Invented")))
    assert isinstance(received, Received)
    assert dict(zip(CLASSIFIED_BY, words(received.outcomes[0]), strict=True))["event"] == "other"


def page(name: str) -> str:
    return (Path(__file__).parents[1] / "docs" / name).read_text(encoding="utf-8")


def test_the_queries_ask_for_keys_that_the_lines_have() -> None:
    """A query of the recipe names events and keys as docs/logs.md documents them."""
    queries = "\n".join(re.findall(r"```kusto\n(.*?)```", page("telemetry.md"), re.DOTALL))
    documented = {"event"} | set(re.findall(r"^\| `(\w+)` \|", page("logs.md"), re.MULTILINE))
    asked = set(re.findall(r"\bline\.(\w+)", queries))
    assert asked - documented == set()
    events = set(re.findall(r'line\.event == "([\w.]+)"', queries))
    assert events == {"call.outcome", "hook.failed"}
    assert {f"### `{each}`" in page("logs.md") for each in events} == {True}
    spans = set(re.findall(r'customDimensions\["([\w.]+)"\]', queries))
    # Microsoft's exporter leaves out what it takes for its own, such as error.type.
    assert {each.partition(".")[0] for each in spans} == {"ringback"}
    assert {each for each in spans if f"`{each}`" not in page("telemetry.md")} == set()


def test_the_page_names_every_metric(sight: Sight) -> None:
    """What is documented is what is recorded, with its unit and its attributes."""
    listed = re.findall(r"^\| `(ringback\.[\w.]+)` \| \w+, `([^`]+)` \| (.*?) ?\|$", page("telemetry.md"), re.MULTILINE)
    told = {name: (unit, set(re.findall(r"`(\w+)`", attributes))) for name, unit, attributes in listed}
    sight.telemetry.metrics.count_delivery("accepted")
    received = Intake(Catalog.default()).receive({}, delivery())
    assert isinstance(received, Received)
    sight.telemetry.metrics.count_outcome(received.outcomes[0])
    sight.telemetry.metrics.record_hook(1.0, "jobs.call_again", "ok")
    sight.telemetry.metrics.count_redial("placed", 2)
    queue = sight.telemetry.metrics.queue(MemoryStore())
    queue._told = (0.0, Stats())
    found = sight.reader.get_metrics_data()
    assert found is not None
    recorded = {
        each.name: (each.unit, {key for point in each.data.data_points for key in point.attributes or ()})
        for each in found.resource_metrics[0].scope_metrics[0].metrics
    }
    assert recorded == told


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_switched_off_opentelemetry_is_not_imported() -> None:
    """Neither by the package nor by an app that does not ask for it."""
    code = (
        "import sys, ringback, ringback.asgi, ringback.handler, ringback.endpoint\n"
        "ringback.CallOutcomeMiddleware(None, router=ringback.OutcomeRouter(), path='/', auth=None)\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry') or name == 'ringback.telemetry'])"
    )
    assert python(code) == "[]"


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for telemetry without its package says what to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    for name in [each for each in sys.modules if each.startswith("ringback.telemetry")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigurationError, match=r"pip install 'ringback\[otel\]'"):
        __import__("ringback.telemetry")
