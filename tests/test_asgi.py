"""The middleware before an ASGI app: what it answers, what it hands on, and when it calls the hooks."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from structlog.contextvars import get_contextvars

from ringback import (
    CallOutcomeMiddleware,
    Catalog,
    ConfigurationError,
    Head,
    Outcome,
    OutcomeRouter,
    Refusal,
    SharedSecret,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
CALL = "1f0e5c1a-0000-4000-8000-000000000002"
PATH = "/api/callbacks/{context_id}"


def event(name: str = "CallDisconnected", code: int = 486, subcode: int = 560486, leg: str = LEG) -> dict[str, Any]:
    return {
        "id": "1f0e5c1a-0000-4000-8000-000000000003",
        "source": f"calling/callConnections/{leg}",
        "type": f"Microsoft.Communication.{name}",
        "data": {
            "callConnectionId": leg,
            "serverCallId": "server-1",
            "correlationId": CALL,
            "resultInformation": {"code": code, "subCode": subcode, "message": ""},
        },
        "time": "2026-01-02T03:04:05.0629553+00:00",
        "specversion": "1.0",
    }


def delivery(*events: object) -> bytes:
    return json.dumps(events or [event()]).encode()


def http(
    path: str = "/api/callbacks/1", method: str = "POST", headers: Sequence[tuple[bytes, bytes]] = (), **more: Any
):
    return {"type": "http", "method": method, "path": path, "headers": list(headers), **more}


def chunked(*chunks: bytes) -> list[dict[str, Any]]:
    """The messages that bring a body in these chunks."""
    last = len(chunks) - 1
    return [{"type": "http.request", "body": each, "more_body": i < last} for i, each in enumerate(chunks)]


class Server:
    """A raw ASGI server: gives the messages it was made with, then a disconnect; keeps what it is sent."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        return self.messages.pop(0) if self.messages else {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return self.sent[0]["status"]


class App:
    """A raw ASGI app: keeps what it was called with and all it receives, and answers 204."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, Any]] = []
        self.received: list[Any] = []
        self.bound: dict[str, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append((scope, receive, send))
        self.bound = get_contextvars()
        while not self.received or self.received[-1]["type"] != "http.disconnect":
            self.received.append(await receive())
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def silent(scope: Any, receive: Any, send: Any) -> None:
    """An app that is only called."""


def wrapped(app: Any, router: OutcomeRouter | None = None, **options: Any) -> CallOutcomeMiddleware:
    options = {"path": PATH, "settle": 0, "auth": None, **options}
    return CallOutcomeMiddleware(app, router=OutcomeRouter() if router is None else router, **options)


def collecting(into: list[Any], of: Callable[[Outcome], Any] = lambda outcome: outcome.event_name) -> OutcomeRouter:
    """A router whose hook for every call's end appends to a list."""
    router = OutcomeRouter()

    @router.on_retryable
    @router.on_terminal
    async def collect(outcome: Outcome) -> None:
        into.append(of(outcome))

    return router


async def shut_down(app: Any) -> None:
    """What a server does when it stops; all hooks have run when this returns."""
    await app({"type": "lifespan"}, Server({"type": "lifespan.shutdown"}).receive, Server().send)


async def lifespan_only(scope: Any, receive: Any, send: Any) -> None:
    await receive()


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.__dict__["ringback"] for record in caplog.records if record.name == "ringback"]


# Which requests it concerns


@pytest.mark.parametrize(
    ("template", "path", "root_path", "concerned"),
    [
        pytest.param("/cb", "/cb", "", True, id="plain"),
        pytest.param("/cb/{id}", "/cb/7", "", True, id="template"),
        pytest.param("/cb/{id:int}", "/cb/7", "", True, id="convertor"),
        pytest.param("/cb/{id:int}", "/cb/x", "", False, id="convertor that does not fit"),
        pytest.param("/cb/{rest:path}", "/cb/a/b", "", True, id="path convertor"),
        pytest.param("/cb/{id}", "/cb/7/", "", False, id="trailing slash"),
        pytest.param("/cb/{id}", "/cb/7/8", "", False, id="longer path"),
        pytest.param("/cb/{id}", "/cb", "", False, id="shorter path"),
        pytest.param("/cb", "/other/cb", "", False, id="foreign path"),
        pytest.param(["/a", "/b/{id}"], "/a", "", True, id="first of several"),
        pytest.param(["/a", "/b/{id}"], "/b/1", "", True, id="second of several"),
        pytest.param(("/a", "/b/{id}"), "/c", "", False, id="none of several"),
        pytest.param("/cb", "/sub/cb", "/sub", True, id="below a mount"),
        pytest.param("/cb", "/sub/cb", "/sub/", True, id="root path with a slash"),
        pytest.param("/cb", "/cb", "/sub", True, id="root path that the proxy has cut off"),
        pytest.param("/cb", "/subway/cb", "/sub", False, id="root path is no prefix of names"),
    ],
)
async def test_a_post_is_a_delivery_where_its_path_fits_a_template(
    template: str | Sequence[str], path: str, root_path: str, concerned: bool
) -> None:
    """Paths are matched as Starlette matches routes, relative to the root path."""
    app, server = App(), Server(*chunked(delivery()))
    await wrapped(app, path=template)(http(path, root_path=root_path), server.receive, server.send)
    assert ("call_outcomes" in app.calls[0][0].get("state", {})) is concerned


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param(http("/other"), id="foreign path"),
        pytest.param(http(method="GET"), id="GET"),
        pytest.param(http(method="PUT"), id="PUT"),
        pytest.param(http(method="OPTIONS", headers=[(b"origin", b"https://example.org")]), id="CORS preflight"),
        pytest.param({"type": "websocket", "path": "/api/callbacks/1", "headers": []}, id="websocket"),
        pytest.param({"type": "http.next", "path": "/api/callbacks/1"}, id="scope type of tomorrow"),
    ],
)
async def test_all_else_passes_through_untouched(scope: dict[str, Any]) -> None:
    """The app gets the very scope, receive and send of the server."""
    app, server = App(), Server()
    before, receive, send = dict(scope), server.receive, server.send
    await wrapped(app)(scope, receive, send)
    [called_with] = app.calls
    assert all(got is given for got, given in zip(called_with, (scope, receive, send), strict=True))
    assert scope == before


async def test_the_lifespan_passes_through() -> None:
    """The app sees the same scope, messages and send; a start-up is nothing to wait for."""
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([scope, await receive(), await receive(), send])
        await send({"type": "lifespan.shutdown.complete"})

    scope, server = {"type": "lifespan", "state": {}}, Server(*messages)
    send = server.send
    await wrapped(app)(scope, server.receive, send)
    assert seen[0] is scope
    assert seen[1] is messages[0]
    assert seen[2] is messages[1]
    assert seen[3] is send
    assert server.sent == [{"type": "lifespan.shutdown.complete"}]


async def test_it_wraps_a_mounted_app() -> None:
    """Below a mount the template is relative to it, as the routes are."""

    async def callbacks(request: Request) -> Response:
        return JSONResponse([outcome.cause for outcome in request.state.call_outcomes])

    inner = Starlette(routes=[Route("/callbacks/{context_id}", callbacks, methods=["POST"])])
    app = Starlette(routes=[Mount("/api", app=wrapped(inner, path="/callbacks/{context_id}"))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        answer = await client.post("/api/callbacks/1", content=delivery())
    assert (answer.status_code, answer.json()) == (200, ["busy"])


# What the route gets


@given(
    events=st.integers(1, 4), cuts=st.lists(st.integers(0, 2000), max_size=8), padding=st.text(" \t\r\n", max_size=9)
)
@settings(deadline=None, max_examples=60)
def test_the_body_reaches_the_route_byte_for_byte(events: int, cuts: list[int], padding: str) -> None:
    """However it was cut, the route reads what the server read, then what the server says next."""
    body = padding.encode() + delivery(*[event()] * events) + padding.encode()
    at = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    chunks = [body[start:end] for start, end in pairwise(at)]
    app, server = App(), Server(*chunked(*chunks))
    asyncio.run(wrapped(app)(http(), server.receive, server.send))
    assert app.received == [
        {"type": "http.request", "body": body, "more_body": False},
        {"type": "http.disconnect"},
    ]


async def test_a_message_without_body_or_more_body_is_read_by_their_defaults() -> None:
    """Both keys are optional in ASGI."""
    server = Server({"type": "http.request"})
    await wrapped(App())(http(), server.receive, server.send)
    assert server.status == 400


async def test_the_scope_keeps_all_it_had_and_gains_the_outcomes() -> None:
    """State set by an outer middleware or the lifespan stays."""
    scope = http(headers=[(b"x-a", b"1"), (b"x-a", b"\xff")], query_string=b"q=%2B1", state={"db": "mine"})
    before = json.dumps(scope, default=repr)
    app, server = App(), Server(*chunked(delivery()))
    await wrapped(app)(scope, server.receive, server.send)
    assert app.calls[0][0] is scope
    [outcome] = scope["state"].pop("call_outcomes")
    assert repr(outcome) == f"<Outcome CallDisconnected 486/560486 busy retryable (later) call:{LEG}>"
    assert json.dumps(scope, default=repr) == before


async def test_starlette_finds_the_outcomes_in_the_state_of_the_request() -> None:
    """In the order of the events; and the body can be read as ever."""

    async def callbacks(request: Request) -> Response:
        causes = [outcome.cause for outcome in request.state.call_outcomes]
        return JSONResponse({"causes": causes, "body": (await request.body()).decode()})

    app = Starlette(routes=[Route(PATH, callbacks, methods=["POST"])])
    app.add_middleware(CallOutcomeMiddleware, router=OutcomeRouter(), path=PATH, settle=0)
    body = delivery(event(), {"type": "Contoso.Other"}, event("PlayFailed", 400, 8535))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        answer = await client.post("/api/callbacks/1", content=body)
    assert answer.json() == {"causes": ["busy", "media"], "body": body.decode()}


async def test_the_catalog_of_the_app_judges() -> None:
    """An override reaches the outcomes."""
    catalog = Catalog.default().with_overrides({"entry": [{"code": 486, "subcode": 560486, "owner": "app"}]})
    app, server = App(), Server(*chunked(delivery()))
    await wrapped(app, catalog=catalog)(http(), server.receive, server.send)
    assert [outcome.owner for outcome in app.calls[0][0]["state"]["call_outcomes"]] == ["app"]


async def test_one_bad_element_does_not_hide_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """The route is called with the outcomes of the others; the log names the bad one."""
    caplog.set_level("INFO", "ringback")
    app, server = App(), Server(*chunked(delivery({}, event(), 17)))
    await wrapped(app)(http(), server.receive, server.send)
    assert server.status == 204
    assert [outcome.cause for outcome in app.calls[0][0]["state"]["call_outcomes"]] == ["busy"]
    assert lines(caplog)[0] == {
        "event": "delivery.elements_rejected",
        "count": 2,
        "faults": [
            {"index": 0, "reason": "no type (CloudEvents) and no eventType (Event Grid); send one of the two schemas"},
            {"index": 2, "reason": "a JSON number, not an object; send a CloudEvent"},
        ],
    }
    assert [line["event"] for line in lines(caplog)[1:]] == ["call.outcome"]


@pytest.mark.parametrize("raising", [False, True], ids=["returns", "raises"])
async def test_the_ids_of_the_call_are_bound_while_the_route_runs(raising: bool) -> None:
    """The app's own log lines carry them; afterwards they are gone, whatever happened."""
    bound: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bound.append(get_contextvars())
        if raising:
            raise LookupError("the route's own")

    server = Server(*chunked(delivery()))
    try:
        await wrapped(app)(http(), server.receive, server.send)
    except LookupError:
        assert raising
    assert bound == [{"call_connection_id": LEG, "server_call_id": "server-1", "correlation_id": CALL}]
    assert get_contextvars() == {}


# What it answers by itself


def answered(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> list[dict[str, Any]]:
    """The messages of a whole response."""
    listed = [*headers, (b"content-length", str(len(body)).encode())]
    return [
        {"type": "http.response.start", "status": status, "headers": listed},
        {"type": "http.response.body", "body": body},
    ]


def problem(status: int, title: str, detail: str) -> list[dict[str, Any]]:
    body = json.dumps(
        {"type": "about:blank", "title": title, "status": status, "detail": detail}, separators=(",", ":")
    ).encode()
    return answered(status, body, (b"content-type", b"application/problem+json"))


@pytest.mark.parametrize(
    ("headers", "body", "status", "title", "detail"),
    [
        pytest.param([], b"[{", 400, "Malformed delivery", "the body is not JSON: Input data was truncated", id="400"),
        pytest.param(
            [(b"content-encoding", b"br")],
            b"[]",
            415,
            "Unsupported encoding",
            "content-encoding 'br' is not accepted; send plain JSON",
            id="415",
        ),
        pytest.param(
            [], b"[" * 2001, 413, "Delivery too large", "the body has more than 2000 bytes; at most 2000 are accepted",
            id="413",
        ),
    ],
)  # fmt: skip
async def test_what_is_no_delivery_is_answered_without_the_route(
    caplog: pytest.LogCaptureFixture,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
    status: int,
    title: str,
    detail: str,
) -> None:
    """One problem+json response, one log line."""
    caplog.set_level("INFO", "ringback")
    app, server = App(), Server(*chunked(body))
    await wrapped(app, max_body=2000)(http(headers=headers), server.receive, server.send)
    assert server.sent == problem(status, title, detail)
    assert app.calls == []
    assert lines(caplog) == [{"event": "delivery.rejected", "status": status, "reason": detail}]


TOO_LARGE = "the body has more than 2000 bytes; at most 2000 are accepted"


@pytest.mark.parametrize("length", [b"2001", b"10000", b"9" * 5000], ids=["one too many", "more digits", "absurd"])
async def test_an_announced_body_that_is_too_large_is_refused_unread(length: bytes) -> None:
    """The content-length is enough; no message is received."""
    app, server = App(), Server(*chunked(delivery()))
    scope = http(headers=[(b"content-length", length)])
    await wrapped(app, max_body=2000)(scope, server.receive, server.send)
    assert server.sent == problem(413, "Delivery too large", TOO_LARGE)
    assert (app.calls, len(server.messages)) == ([], 1)


@pytest.mark.parametrize("length", [b"2000", b"0" * 5000 + b"5", b"", b"-1", b"many"])
async def test_any_other_content_length_is_left_to_the_server(length: bytes) -> None:
    """What counts are the bytes that arrive."""
    app, server = App(), Server(*chunked(delivery()))
    scope = http(headers=[(b"content-length", length)])
    await wrapped(app, max_body=2000)(scope, server.receive, server.send)
    assert server.status == 204


async def test_a_chunked_body_is_refused_as_soon_as_it_is_too_large() -> None:
    """The chunks after the limit stay unread."""
    app, server = App(), Server(*chunked(b" " * 1500, b" " * 501, b" ", b" "))
    await wrapped(app, max_body=2000)(http(), server.receive, server.send)
    assert server.sent == problem(413, "Delivery too large", TOO_LARGE)
    assert (app.calls, len(server.messages)) == ([], 2)


async def test_a_body_of_exactly_the_limit_is_accepted() -> None:
    """The limit is the largest size that passes."""
    app, server = App(), Server(*chunked(delivery().ljust(2000)))
    await wrapped(app, max_body=2000)(http(), server.receive, server.send)
    assert server.status == 204


async def test_too_many_events_are_too_large() -> None:
    """A batch over the limit is refused as a whole."""
    server = Server(*chunked(delivery(event(), event())))
    await wrapped(silent, max_events=1)(http(), server.receive, server.send)
    assert server.sent == problem(413, "Delivery too large", "the body holds 2 events; at most 1 are accepted")


async def test_a_validation_of_event_grid_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    """The route need not know the handshake."""
    caplog.set_level("INFO", "ringback")
    kind = "Microsoft.EventGrid.SubscriptionValidationEvent"
    body = json.dumps([{"id": "1", "eventType": kind, "data": {"validationCode": "code-1"}}]).encode()
    app, server = App(), Server(*chunked(body))
    scope = http(headers=[(b"aeg-event-type", b"SubscriptionValidation")])
    await wrapped(app)(scope, server.receive, server.send)
    assert server.sent == answered(200, b'{"validationResponse":"code-1"}', (b"content-type", b"application/json"))
    assert app.calls == []
    assert lines(caplog) == [{"event": "handshake.answered", "schema": "eventgrid"}]


async def test_a_handshake_of_cloudevents_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    """OPTIONS with an origin of a webhook is granted."""
    caplog.set_level("INFO", "ringback")
    app, server = App(), Server()
    scope = http(method="OPTIONS", headers=[(b"webhook-request-origin", b"eventgrid.azure.net")])
    await wrapped(app)(scope, server.receive, server.send)
    assert server.sent == answered(
        200,
        b"",
        (b"allow", b"OPTIONS, POST"),
        (b"webhook-allowed-origin", b"eventgrid.azure.net"),
        (b"webhook-allowed-rate", b"*"),
    )
    assert app.calls == []
    assert lines(caplog) == [{"event": "handshake.answered", "schema": "cloudevents"}]


# Who may call

SECRET = "a-shared-secret-of-this-app"


class Check:
    """A check that always says the same, and lets handshakes of the subscription `calls` be answered if it is to."""

    def __init__(self, refusal: Refusal | None) -> None:
        self.refusal = refusal
        self.asked = 0

    async def __call__(self, _: Head) -> Refusal | None:
        self.asked += 1
        return self.refusal


class EventGrid(Check):
    def allows_handshake(self, head: Head) -> bool:
        return head.values("aeg-subscription-name") == ["calls"]


MISSING = Refusal("token_missing")
PROBLEM_JSON = (b"content-type", b"application/problem+json")
UNAUTHORIZED = answered(
    401,
    b'{"type":"about:blank","title":"Unauthorized","status":401}',
    PROBLEM_JSON,
    (b"www-authenticate", b"Bearer"),
)
UNAVAILABLE = answered(
    503,
    b'{"type":"about:blank","title":"Service unavailable","status":503}',
    PROBLEM_JSON,
    (b"retry-after", b"5"),
)


def rejection(status: int, reason: str) -> dict[str, Any]:
    return {"event": "callback.rejected", "status": status, "reason": reason, "suppressed": 0}


async def unreadable() -> Any:
    raise AssertionError("the body of a refused request is read")


@pytest.mark.parametrize(
    ("auth", "messages", "status", "reason"),
    [
        pytest.param(Check(MISSING), UNAUTHORIZED, 401, "token_missing", id="401"),
        pytest.param(Check(Refusal("keys_unavailable", 503, 5)), UNAVAILABLE, 503, "keys_unavailable", id="503"),
        pytest.param([Check(MISSING), Check(Refusal("b"))], UNAUTHORIZED, 401, "b", id="several"),
        pytest.param(SharedSecret(SECRET), UNAUTHORIZED, 401, "secret_missing", id="shared secret"),
        pytest.param(EventGrid(MISSING), UNAUTHORIZED, 401, "token_missing", id="Event Grid"),
    ],
)
async def test_a_refused_request_costs_nothing(
    caplog: pytest.LogCaptureFixture, auth: Any, messages: list[dict[str, Any]], status: int, reason: str
) -> None:
    """Its body is not read, let alone parsed; route and hooks hear nothing; one line says why."""
    caplog.set_level("INFO", "ringback")
    called: list[str] = []
    app, server = App(), Server()
    middleware = wrapped(app, collecting(called), auth=auth)
    scope = http(headers=[(b"authorization", b"Bearer made-up")], query_string=b"q=made-up")
    before = dict(scope)
    await middleware(scope, unreadable, server.send)
    middleware.app = lifespan_only
    await shut_down(middleware)
    assert server.sent == messages
    assert (app.calls, called, scope) == ([], [], before)
    assert lines(caplog) == [rejection(status, reason)]


@pytest.mark.parametrize(
    "auth",
    [
        pytest.param(Check(None), id="one"),
        pytest.param([Check(MISSING), Check(None)], id="one of several"),
        pytest.param(None, id="none wanted"),
    ],
)
async def test_an_accepted_request_goes_on_as_ever(caplog: pytest.LogCaptureFixture, auth: Any) -> None:
    """The check leaves no trace, neither in the scope nor in the log."""
    caplog.set_level("INFO", "ringback")
    app, server = App(), Server(*chunked(delivery()))
    await wrapped(app, auth=auth)(http(), server.receive, server.send)
    assert server.status == 204
    assert app.received[0] == {"type": "http.request", "body": delivery(), "more_body": False}
    assert set(app.calls[0][0]) == {"type", "method", "path", "headers", "state"}
    assert [line["event"] for line in lines(caplog)] == ["call.outcome"]


async def test_an_async_function_can_be_the_check() -> None:
    """It sees the head of the request, whole."""
    seen: list[Head] = []

    async def note(head: Head) -> Refusal | None:
        seen.append(head)
        return None

    server = Server(*chunked(delivery()))
    scope = http(headers=[(b"X-From", b"inside")], query_string=b"q=1")
    await wrapped(App(), auth=note)(scope, server.receive, server.send)
    assert server.status == 204
    assert seen == [Head("POST", "/api/callbacks/1", "q=1", (("x-from", "inside"),))]


@pytest.mark.parametrize(
    "scope",
    [pytest.param(http("/other"), id="foreign path"), pytest.param(http(method="GET"), id="GET")],
)
async def test_requests_that_are_no_callbacks_are_not_checked(scope: dict[str, Any]) -> None:
    """They are the app's."""
    check, app = Check(MISSING), App()
    await wrapped(app, auth=check)(scope, Server().receive, Server().send)
    assert (len(app.calls), check.asked) == (1, 0)


@pytest.mark.parametrize("count", [3, 4])
async def test_too_many_header_fields_are_refused_before_the_check(
    caplog: pytest.LogCaptureFixture, count: int
) -> None:
    """Whoever sends them, even what says it is a handshake; the limit itself is accepted."""
    caplog.set_level("INFO", "ringback")
    check, app, server = EventGrid(None), App(), Server(*chunked(delivery()))
    headers = [(b"aeg-event-type", b"SubscriptionValidation"), (b"aeg-subscription-name", b"calls")]
    headers += [(b"a", b"1")] * (count - 2)
    await wrapped(app, auth=check, max_headers=3)(http(headers=headers), server.receive, server.send)
    detail = "more than 3 header fields are not accepted"
    if count > 3:
        assert server.sent == problem(431, "Too many header fields", detail)
        assert (check.asked, len(server.messages)) == (0, 1)
        assert lines(caplog) == [{"event": "delivery.rejected", "status": 431, "reason": detail}]
    else:
        assert (server.status, check.asked, server.messages) == (400, 1, [])


ADVICE = (
    "anyone who can reach the callback URL can send events; pass auth=CallbackTokenVerifier(audience=...), "
    "or auth=None to accept every sender"
)


async def test_an_app_that_does_not_say_who_may_call_is_warned_once(caplog: pytest.LogCaptureFixture) -> None:
    """At start-up; every delivery is accepted all the same."""
    middleware = CallOutcomeMiddleware(App(), router=OutcomeRouter(), path=PATH, settle=0)
    assert lines(caplog) == [{"event": "callbacks.unverified", "advice": ADVICE}]
    for _ in range(2):
        server = Server(*chunked(delivery()))
        await middleware(http(), server.receive, server.send)
        assert server.status == 204
    assert [line["event"] for line in lines(caplog)].count("callbacks.unverified") == 1


# Handshakes of a sender without a token

KIND = "Microsoft.EventGrid.SubscriptionValidationEvent"
VALIDATION = {"id": "1", "eventType": KIND, "data": {"validationCode": "code-1"}}
ANNOUNCED = (b"aeg-event-type", b"SubscriptionValidation")
KNOWN = (b"aeg-subscription-name", b"calls")
ECHO = answered(200, b'{"validationResponse":"code-1"}', (b"content-type", b"application/json"))


@pytest.mark.parametrize(
    "auth",
    [EventGrid(MISSING), [EventGrid(MISSING), Check(MISSING)], EventGrid(Refusal("keys_unavailable", 503, 5))],
    ids=["alone", "one of several", "key server down"],
)
async def test_a_validation_of_an_allowed_subscription_needs_no_token(
    caplog: pytest.LogCaptureFixture, auth: Any
) -> None:
    """Event Grid validates before it sends tokens."""
    caplog.set_level("INFO", "ringback")
    app, server = App(), Server(*chunked(delivery(VALIDATION)))
    await wrapped(app, auth=auth)(http(headers=[ANNOUNCED, KNOWN]), server.receive, server.send)
    assert server.sent == ECHO
    assert app.calls == []
    assert lines(caplog) == [{"event": "handshake.answered", "schema": "eventgrid"}]


@pytest.mark.parametrize(
    ("auth", "headers"),
    [
        pytest.param(EventGrid(MISSING), [ANNOUNCED], id="unknown subscription"),
        pytest.param(EventGrid(MISSING), [KNOWN], id="not announced"),
        pytest.param(EventGrid(MISSING), [ANNOUNCED, ANNOUNCED, KNOWN], id="announced twice"),
        pytest.param(Check(MISSING), [ANNOUNCED, KNOWN], id="check that knows no handshake"),
    ],
)
async def test_any_other_validation_without_a_token_is_refused_unread(
    auth: Any, headers: list[tuple[bytes, bytes]]
) -> None:
    """The 401 stands."""
    app, server = App(), Server()
    await wrapped(app, auth=auth)(http(headers=headers), unreadable, server.send)
    assert server.sent == UNAUTHORIZED
    assert app.calls == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(delivery(), id="another event"),
        pytest.param(delivery(VALIDATION, event()), id="a validation before another event"),
        pytest.param(delivery(event(), VALIDATION), id="a validation after another event"),
        pytest.param(delivery(VALIDATION, 17), id="a validation beside what is no event"),
        pytest.param(delivery({"eventType": KIND}), id="a validation without its code"),
        pytest.param(b"[]", id="no event"),
        pytest.param(b"[{", id="no JSON"),
        pytest.param(b"[" * 2001, id="too large"),
    ],
)
async def test_an_announced_validation_that_is_more_than_that_stays_refused(
    caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    """The 401 stands, and says nothing of the body."""
    caplog.set_level("INFO", "ringback")
    called: list[str] = []
    app, server = App(), Server(*chunked(body))
    middleware = wrapped(app, collecting(called), auth=EventGrid(MISSING), max_body=2000)
    await middleware(http(headers=[ANNOUNCED, KNOWN]), server.receive, server.send)
    middleware.app = lifespan_only
    await shut_down(middleware)
    assert server.sent == UNAUTHORIZED
    assert (app.calls, called) == ([], [])
    assert lines(caplog) == [rejection(401, "token_missing")]


async def test_an_announced_validation_that_does_not_come_stays_refused(caplog: pytest.LogCaptureFixture) -> None:
    """Slow or gone, the sender was refused; there is one line for that, and its rate is bounded."""
    caplog.set_level("INFO", "ringback")
    middleware = wrapped(App(), auth=EventGrid(MISSING), body_timeout=0.05)
    slow, gone = Server(), Server({"type": "http.disconnect"})
    await middleware(http(headers=[ANNOUNCED, KNOWN]), never, slow.send)
    await middleware(http(headers=[ANNOUNCED, KNOWN]), gone.receive, gone.send)
    assert (slow.sent, gone.sent) == (UNAUTHORIZED, [])
    assert lines(caplog) == [rejection(401, "token_missing")] * 2


CONSENT = answered(
    200,
    b"",
    (b"allow", b"OPTIONS, POST"),
    (b"webhook-allowed-origin", b"eventgrid.azure.net"),
    (b"webhook-allowed-rate", b"*"),
)
ORIGIN = (b"webhook-request-origin", b"eventgrid.azure.net")


@pytest.mark.parametrize(
    ("auth", "headers", "messages"),
    [
        pytest.param(Check(None), [ORIGIN], CONSENT, id="accepted"),
        pytest.param(EventGrid(MISSING), [ORIGIN, KNOWN], CONSENT, id="allowed"),
        pytest.param([Check(MISSING), EventGrid(MISSING)], [ORIGIN, KNOWN], CONSENT, id="allowed by one of several"),
        pytest.param(EventGrid(MISSING), [ORIGIN], UNAUTHORIZED, id="unknown subscription"),
        pytest.param(Check(MISSING), [ORIGIN, KNOWN], UNAUTHORIZED, id="check that knows no handshake"),
        pytest.param(
            EventGrid(MISSING),
            [ORIGIN, KNOWN, *[(b"a", b"1")] * 8],
            problem(431, "Too many header fields", "more than 9 header fields are not accepted"),
            id="too many header fields",
        ),
    ],
)
async def test_a_handshake_of_cloudevents_is_checked_as_a_validation_is(
    auth: Any, headers: list[tuple[bytes, bytes]], messages: list[dict[str, Any]]
) -> None:
    """It carries no token: an Event Grid check decides by the subscription, else the refusal stands."""
    app, server = App(), Server()
    scope = http(method="OPTIONS", headers=headers)
    await wrapped(app, auth=auth, max_headers=9)(scope, unreadable, server.send)
    assert server.sent == messages
    assert app.calls == []


async def test_an_options_request_that_is_no_handshake_is_the_apps() -> None:
    """A CORS preflight carries no token either."""
    check, app = Check(MISSING), App()
    await wrapped(app, auth=check)(http(method="OPTIONS", headers=[KNOWN]), Server().receive, Server().send)
    assert (len(app.calls), check.asked) == (1, 0)


# A secret in the URL

SPELLED = SECRET.replace("a", "%61").replace("t", "%74")


def secret_scope(method: str = "POST", headers: Sequence[tuple[bytes, bytes]] = ()) -> dict[str, Any]:
    query = f"a=1&secret={SPELLED}".encode()
    path = f"/api/callbacks/{SECRET}"
    return http(path, method, headers, raw_path=path.encode(), query_string=query)


HIDDEN = {
    "path": "/api/callbacks/[secret]",
    "raw_path": b"/api/callbacks/[secret]",
    "query_string": b"a=1&secret=[secret]",
}


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_secret_is_hidden_once_the_route_has_seen_the_url(method: str) -> None:
    """The server logs the scope's URL when the response starts."""
    urls: list[dict[str, Any]] = []
    scope = secret_scope(method)
    original = {name: scope[name] for name in HIDDEN}

    async def app(inner: Any, receive: Any, send: Any) -> None:
        urls.append({name: inner[name] for name in HIDDEN})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        urls.append({name: scope[name] for name in HIDDEN})

    await wrapped(app, auth=SharedSecret(SECRET))(scope, Server(*chunked(delivery())).receive, send)
    assert urls == [original, HIDDEN, HIDDEN]


async def test_a_secret_is_hidden_when_the_route_raises() -> None:
    """The answer to that is made further out, and the server logs it all the same."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("the route's own")

    scope, server = secret_scope(), Server(*chunked(delivery()))
    with pytest.raises(LookupError, match="the route's own"):
        await wrapped(app, auth=SharedSecret(SECRET))(scope, server.receive, server.send)
    assert {name: scope[name] for name in HIDDEN} == HIDDEN


@pytest.mark.parametrize(
    ("method", "headers", "body", "status"),
    [
        pytest.param("POST", (), b"[{", 400, id="no delivery"),
        pytest.param("POST", [(b"a", b"1")] * 101, b"", 431, id="too many header fields"),
        pytest.param("OPTIONS", [ORIGIN], b"", 200, id="handshake"),
    ],
)
async def test_a_secret_is_hidden_where_ringback_answers(
    method: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, status: int
) -> None:
    """A right secret in a request that goes no further is a secret still."""
    scope, server = secret_scope(method, headers), Server(*chunked(body))
    seen: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        seen.append({name: scope[name] for name in HIDDEN})
        await server.send(message)

    await wrapped(silent, auth=SharedSecret(SECRET))(scope, server.receive, send)
    assert server.status == status
    assert seen == [HIDDEN, HIDDEN]


# A sender that is slow


async def never() -> Any:
    """A server whose client sends nothing more."""
    await asyncio.Event().wait()


async def test_a_sender_that_is_too_slow_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever came by then is dropped; the route is not called."""
    caplog.set_level("INFO", "ringback")
    app, server = App(), Server({"type": "http.request", "body": b"[", "more_body": True})

    async def receive() -> Any:
        return await server.receive() if server.messages else await never()

    await wrapped(app, body_timeout=0.05)(http(), receive, server.send)
    detail = "the body did not arrive within 0.05 seconds"
    assert server.sent == problem(408, "Delivery too slow", detail)
    assert app.calls == []
    assert lines(caplog) == [{"event": "delivery.rejected", "status": 408, "reason": detail}]


async def test_a_sender_that_drips_is_too_slow_as_well() -> None:
    """The time is for the whole body, not for each of its parts."""

    async def dripping() -> Any:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b" ", "more_body": True}

    server = Server()
    await wrapped(silent, body_timeout=0.05)(http(), dripping, server.send)
    assert server.status == 408


async def test_without_a_time_limit_a_slow_sender_is_waited_for() -> None:
    """0 is none: the one who asked for that decides when it is enough."""
    server = Server()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await wrapped(silent, body_timeout=0)(http(), never, server.send)
    assert server.sent == []


async def test_the_route_has_all_the_time_it_wants() -> None:
    """The limit is for the body's arrival alone."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.1)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    server = Server(*chunked(delivery()))
    await wrapped(app, body_timeout=0.05)(http(), server.receive, server.send)
    assert server.status == 200


# A sender that leaves


async def test_a_sender_that_leaves_while_the_body_arrives_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The route is not called, nothing is sent, nothing raised."""
    caplog.set_level("INFO", "ringback")
    app = App()
    server = Server({"type": "http.request", "body": b"[", "more_body": True}, {"type": "http.disconnect"})
    await wrapped(app)(http(), server.receive, server.send)
    assert (app.calls, server.sent) == ([], [])
    reason = "the sender disconnected before the body was complete"
    assert lines(caplog) == [{"event": "delivery.interrupted", "reason": reason}]


async def test_a_sender_that_leaves_after_the_body_is_news_for_the_route() -> None:
    """After the body the route hears what the server says."""
    app, server = App(), Server(*chunked(delivery()), {"type": "http.disconnect", "marker": 1})
    await wrapped(app)(http(), server.receive, server.send)
    assert app.received[1:] == [{"type": "http.disconnect", "marker": 1}]


# Hooks


async def test_hooks_run_after_the_response_was_sent() -> None:
    """The sender never waits for a hook."""
    order: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        order.append(message["type"])

    middleware = wrapped(app, collecting(order))
    await middleware(http(), Server(*chunked(delivery())).receive, send)
    middleware.app = lifespan_only
    await shut_down(middleware)
    assert order == ["http.response.start", "http.response.body", "CallDisconnected"]


async def test_an_exception_of_the_route_propagates_and_the_hooks_still_run() -> None:
    """The call has ended, whatever the route makes of it."""
    called: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("the route's own")

    middleware = wrapped(app, collecting(called))
    server = Server(*chunked(delivery()))
    with pytest.raises(LookupError, match="the route's own"):
        await middleware(http(), server.receive, server.send)
    middleware.app = lifespan_only
    await shut_down(middleware)
    assert (called, server.sent) == (["CallDisconnected"], [])


def rejected(name: str, context: str | None) -> bytes:
    """One of the two recorded deliveries of a call that the callee rejected, with ids of our own."""
    told = event(name, 603, 0)
    told["data"]["resultInformation"]["message"] = "Decline. DiagCode: 603#0.@"
    if context is not None:
        told["data"]["operationContext"] = context
    return json.dumps([told]).encode()


PAIR = (rejected("CallDisconnected", "context-1"), rejected("CreateCallFailed", None))


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 0, 1, 1), (1, 0, 1, 0)], ids=str)
async def test_the_two_events_of_a_failed_create_fire_one_hook(order: tuple[int, ...]) -> None:
    """In either order, and with every redelivery: the call ended once."""
    called: list[tuple[str, str | None]] = []
    router = collecting(called, lambda outcome: (outcome.event_name, outcome.operation_context))
    middleware = wrapped(App(), router, settle=0.05)
    for which in order:
        server = Server(*chunked(PAIR[which]))
        await middleware(http(), server.receive, server.send)
    assert called == []
    await asyncio.sleep(0.1)
    assert called == [("CreateCallFailed", "context-1")]
    for which in order:
        server = Server(*chunked(PAIR[which]))
        await middleware(http(), server.receive, server.send)
        assert server.status == 204
    await asyncio.sleep(0.1)
    assert called == [("CreateCallFailed", "context-1")]


async def test_the_hooks_finish_before_the_app_hears_of_the_shutdown() -> None:
    """What they use is still open then, and nobody waits for the settle time."""
    order: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            order.append((await receive())["type"])

    middleware = wrapped(app, collecting(order), settle=3600)
    server = Server(*chunked(delivery()))
    await middleware(http(), server.receive, server.send)
    await shut_down(middleware)
    assert order == ["CallDisconnected", "lifespan.shutdown"]


async def test_a_hook_that_does_not_end_holds_up_the_shutdown_no_longer_than_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is cancelled and logged."""
    router = OutcomeRouter()

    @router.on_retryable
    async def hang(outcome: Outcome) -> None:
        await asyncio.sleep(3600)

    middleware = wrapped(silent, router, drain=0.01)
    server = Server(*chunked(delivery()))
    await middleware(http(), server.receive, server.send)
    middleware.app = lifespan_only
    await shut_down(middleware)
    assert lines(caplog) == [{"event": "hooks.abandoned", "count": 1, "timeout_seconds": 0.01}]


# Configuration


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"router": None}, "router None is no OutcomeRouter; pass router=OutcomeRouter()", id="router"),
        pytest.param(
            {"router": OutcomeRouter},
            "router <class 'ringback.endpoint.OutcomeRouter'> is no OutcomeRouter; pass router=OutcomeRouter()",
            id="router class",
        ),
        pytest.param({"path": "cb"}, "path 'cb' does not start with '/'; write '/cb'", id="relative path"),
        pytest.param({"path": ""}, "path '' does not start with '/'; write '/'", id="empty path"),
        pytest.param(
            {"path": ["/a", "/cb/{id:wrong}"]},
            "path '/cb/{id:wrong}' is no path template: Unknown path convertor 'wrong'",
            id="convertor",
        ),
        pytest.param(
            {"path": "/{id}/{id}"},
            "path '/{id}/{id}' is no path template: Duplicated param name id at path /{id}/{id}",
            id="name twice",
        ),
        pytest.param(
            {"path": []}, "path names no path; give the callback route's, such as '/api/callbacks'", id="no path"
        ),
        pytest.param({"settle": -0.5}, "settle -0.5 is negative; give seconds, 0 for none", id="settle"),
        pytest.param({"drain": -1}, "drain -1 is negative; give seconds, 0 for none", id="drain"),
        pytest.param({"max_body": 0}, "max_body 0 accepts nothing; give a positive number", id="max_body"),
        pytest.param({"max_events": 0}, "max_events 0 accepts nothing; give a positive number", id="max_events"),
        pytest.param({"max_headers": 0}, "max_headers 0 accepts nothing; give a positive number", id="max_headers"),
        pytest.param({"body_timeout": -1}, "body_timeout -1 is negative; give seconds, 0 for none", id="body_timeout"),
        pytest.param(
            {"auth": []}, "auth names no check; pass a verifier, or auth=None to accept every sender", id="no check"
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_at_start(options: dict[str, Any], message: str) -> None:
    """The message names the setting, its value and the remedy."""
    with pytest.raises(ConfigurationError) as refused:
        CallOutcomeMiddleware(silent, **{"router": OutcomeRouter(), "path": "/cb", **options})
    assert str(refused.value) == message


# Transparency

NAMES = st.sampled_from([b"x-a", b"x-b", b"set-cookie", b"content-type"])
VALUES = st.binary(max_size=12)
BODIES = st.lists(st.binary(max_size=40), max_size=5)
RESPONSES = st.fixed_dictionaries(
    {
        "status": st.integers(200, 599),
        "headers": st.lists(st.tuples(NAMES, VALUES), max_size=5),
        "chunks": BODIES,
        "ended": st.booleans(),
        "reads": st.booleans(),
        "yields": st.booleans(),
        "raises": st.booleans(),
    }
)


def answering(response: dict[str, Any], seen: list[Any]) -> Any:
    """An app that answers just so, maybe without reading, maybe with work afterwards, maybe raising in the end."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append({name: scope[name] for name in ("type", "method", "path", "headers", "query_string")})
        body = bytearray()
        more = response["reads"]
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        seen.append(bytes(body))
        await send({"type": "http.response.start", "status": response["status"], "headers": response["headers"]})
        for chunk in response["chunks"]:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if response["yields"]:
                await asyncio.sleep(0)
        if response["ended"]:
            await send({"type": "http.response.body"})
        if response["raises"]:
            raise LookupError("after the response")

    return app


async def observed(app: Any, scope: dict[str, Any], messages: list[dict[str, Any]]) -> tuple[Any, ...]:
    server, raised = Server(*messages), None
    try:
        await app(scope, server.receive, server.send)
    except LookupError as error:
        raised = str(error)
    return server.sent, raised


@given(
    response=RESPONSES,
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=5),
    events=st.lists(
        st.sampled_from([event(), event("PlayFailed", 400, 8535), {"type": "Contoso.Other", "data": "ü"}]), max_size=3
    ),
    sizes=st.lists(st.integers(0, 300), max_size=6),
    path=st.sampled_from(["/api/callbacks/1", "/elsewhere"]),
)
@settings(deadline=None, max_examples=150)
def test_the_app_and_the_server_see_the_same_with_and_without_the_middleware(
    response: dict[str, Any],
    headers: list[tuple[bytes, bytes]],
    events: list[Any],
    sizes: list[int],
    path: str,
) -> None:
    """The request reaches the app and the response the server unchanged, whatever the app is."""
    rest, chunks = json.dumps(events, ensure_ascii=False).encode(), []
    for size in sizes:
        chunks.append(rest[:size])
        rest = rest[size:]
    bare_seen: list[Any] = []
    seen: list[Any] = []
    scopes = [http(path, headers=headers, query_string=b"q=%2B1") for _ in range(2)]
    bare = asyncio.run(observed(answering(response, bare_seen), scopes[0], chunked(*chunks, rest)))
    with_it = asyncio.run(observed(wrapped(answering(response, seen)), scopes[1], chunked(*chunks, rest)))
    assert with_it == bare
    assert seen == bare_seen
