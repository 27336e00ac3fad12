"""Spans and metrics: what they say, what they keep to themselves, and that they cost nothing while switched off."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from starlette.requests import Request  # noqa: TC002 - the decorator reads the annotations
from starlette.responses import Response  # noqa: TC002 - the decorator reads the annotations

from ringback import (
    CallbackHandler,
    ConfigurationError,
    Outcome,
    OutcomeRouter,
    Refusal,
    StoreUnavailable,
)
from ringback.receiving.intake import Received
from ringback.stores import MemoryStore
from ringback.telemetry._telemetry import MOST_EVENTS, Telemetry
from sights import (
    BOTH,
    CLASSIFIED,
    CLOUD_EVENT,
    EVENT,
    ONE_ACCEPTED,
    OTHER,
    OUTCOME,
    PARENT,
    PATH,
    PROCESSED,
    STORED,
    TRACE,
    TRACEPARENT,
    Sight,
    ask,
    behind,
    delivery,
    event,
    settled,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def sight() -> Sight:
    return Sight()


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
    assert dict(span.attributes) == ONE_ACCEPTED
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
    assert (sight.delivery.attributes["messaging.batch.message_count"], len(sight.delivery.events)) == (40, MOST_EVENTS)
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
    system = "eventgrid" if "aeg-event-type" in request_.get("headers", {}) else "azure_call_automation"
    assert dict(sight.delivery.attributes) == PROCESSED | {"messaging.system": system, "result": result}
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
    assert dict(span.attributes) == ONE_ACCEPTED | {"error.type": "LookupError"}
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
    assert dict(sight.delivery.attributes) == PROCESSED | {"result": "unavailable"}
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
    assert dict(sight.delivery.attributes) == PROCESSED | {"messaging.system": "eventgrid", "result": result}


async def test_a_handler_without_a_framework_measures_up_to_the_route(sight: Sight) -> None:
    """The span ends when what was received is kept: the route is somebody else's."""
    handler = CallbackHandler(OutcomeRouter(settle=0.0, telemetry=sight.telemetry), auth=None)
    received = await handler.receive(delivery(), {"traceparent": TRACEPARENT})
    assert isinstance(received, Received)
    assert dict(sight.delivery.attributes) == ONE_ACCEPTED
    assert (await handler.handle(b"", {})).status == 400
    assert sight.metrics()["ringback.deliveries"] == [({"result": "accepted"}, 1), ({"result": "malformed"}, 1)]


@pytest.mark.parametrize(("name", "makes"), [("meter_provider", "get_meter"), ("tracer_provider", "get_tracer")])
def test_what_is_no_provider_is_refused(name: str, makes: str) -> None:
    """Such as a meter or a tracer that the app has asked a provider for."""
    given: dict[str, Any] = {name: "a tracer"}
    with pytest.raises(ConfigurationError) as refused:
        Telemetry(**given)
    assert str(refused.value) == (
        f"{name} 'a tracer' has no {makes}; pass a provider, such as that of your OpenTelemetry set-up, or leave it "
        "out for the global one"
    )
