"""The middleware before an ASGI app: what it answers, what it hands on, and when it calls the hooks."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import types
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from structlog.contextvars import get_contextvars

from ringback import (
    CallOutcomeMiddleware,
    Catalog,
    ConfigurationError,
    GiveUp,
    Head,
    HookContext,
    Outcome,
    OutcomeRouter,
    Refusal,
    SharedSecret,
    Stats,
    StoreError,
    StoreFull,
    StoreUnavailable,
    logs,
)
from ringback.stores import MemoryStore
from ringback.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
    from pathlib import Path

    from starlette.requests import Request

    from ringback.latch import Offer
    from ringback.stores.port import Item

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
CALL = "1f0e5c1a-0000-4000-8000-000000000002"
PATH = "/api/callbacks/{context_id}"


@pytest.fixture(autouse=True, params=[True, False], ids=["shortcut", "plain"])
def _shortcut(request: pytest.FixtureRequest) -> Iterator[None]:
    """Everything twice: with the shortcut to the log line, and without."""
    logs.lines.use_shortcut(request.param)
    yield
    logs.lines.use_shortcut(True)


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
    """The app sees the same scope and messages, and the server the app's answers, whatever they hold."""
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    answers: list[Any] = [{"type": "lifespan.startup.complete", "more": 1}, {"type": "lifespan.shutdown.complete"}]
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([scope, await receive()])
        await send(answers[0])
        seen.append(await receive())
        await send(answers[1])

    scope, server = {"type": "lifespan", "state": {}}, Server(*messages)
    await wrapped(app)(scope, server.receive, server.send)
    assert seen[0] is scope
    assert seen[1] is messages[0]
    assert seen[2] is messages[1]
    assert server.sent == answers


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


# How the body comes


async def piecewise(chunks: list[dict[str, Any]], pause: Callable[[], Any]) -> tuple[Server, App]:
    server, app = Server(*chunks), App()

    async def receive() -> dict[str, Any]:
        await pause()
        return await server.receive()

    await wrapped(app, body_timeout=5)(http(), receive, server.send)
    return server, app


async def at_once() -> None:
    """No pause at all."""


PAUSES = {
    "at once": at_once,
    "after a turn of the loop": lambda: asyncio.sleep(0),
    "after three turns": lambda: asyncio.gather(asyncio.sleep(0), asyncio.sleep(0)),
    "later": lambda: asyncio.sleep(0.001),
}


@pytest.mark.parametrize("pause", PAUSES.values(), ids=PAUSES.keys())
@pytest.mark.parametrize("pieces", [1, 2, 5])
async def test_a_body_is_whole_whenever_its_pieces_come(pause: Callable[[], Any], pieces: int) -> None:
    """One or several, there already or waited for: the route gets the same."""
    body = delivery()
    at = [len(body) * number // pieces for number in range(pieces + 1)]
    server, app = await piecewise(chunked(*[body[start:end] for start, end in pairwise(at)]), pause)
    assert server.status == 204
    assert app.received[0] == {"type": "http.request", "body": body, "more_body": False}
    assert [outcome.cause for outcome in app.calls[0][0]["state"]["call_outcomes"]] == ["busy"]


@pytest.mark.parametrize("pause", PAUSES.values(), ids=PAUSES.keys())
async def test_a_sender_that_left_before_its_body_is_not_answered(pause: Callable[[], Any]) -> None:
    """Whether that is known at once or only later."""
    server, app = await piecewise([{"type": "http.disconnect"}], pause)
    assert (server.sent, app.calls) == ([], [])


@pytest.mark.parametrize("pause", PAUSES.values(), ids=PAUSES.keys())
@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_body_that_is_too_large_is_refused_whenever_it_comes(pause: Callable[[], Any], pieces: int) -> None:
    """In one piece or in two."""
    server, app = Server(*chunked(*[b" " * 50] * pieces)), App()

    async def receive() -> dict[str, Any]:
        await pause()
        return await server.receive()

    await wrapped(app, max_body=50 * pieces - 1)(http(), receive, server.send)
    assert (server.status, app.calls) == (413, [])


class Awaitable:
    """Something that can be awaited and is no coroutine: its steps are a plain iterator, which can nothing else."""

    def __init__(self, message: dict[str, Any], pauses: int) -> None:
        self._message = message
        self._pauses = pauses

    def __await__(self) -> Any:
        return Steps(self._message, self._pauses)


class Steps:
    def __init__(self, message: dict[str, Any], pauses: int) -> None:
        self._message = message
        self._pauses = pauses

    def __iter__(self) -> Steps:
        return self

    def __next__(self) -> None:
        if not self._pauses:
            raise StopIteration(self._message)
        self._pauses -= 1


@types.coroutine
def of_a_generator(message: dict[str, Any], pauses: int) -> Any:
    for _ in range(pauses):
        yield
    return message


def future(message: dict[str, Any], pauses: int) -> asyncio.Future[dict[str, Any]]:
    waited = asyncio.get_running_loop().create_future()
    if pauses:
        asyncio.get_running_loop().call_soon(waited.set_result, message)
    else:
        waited.set_result(message)
    return waited


async def result(message: dict[str, Any], pauses: int) -> dict[str, Any]:
    for _ in range(pauses):
        await asyncio.sleep(0)
    return message


def task(message: dict[str, Any], pauses: int) -> asyncio.Task[dict[str, Any]]:
    return asyncio.create_task(result(message, pauses))


@pytest.mark.parametrize("pauses", [0, 1, 3])
@pytest.mark.parametrize("awaitable", [Awaitable, of_a_generator, future, task], ids=lambda each: each.__name__)
async def test_what_is_awaited_need_not_be_a_coroutine(awaitable: Any, pauses: int) -> None:
    """A server may give whatever can be awaited."""
    [message] = chunked(delivery())
    app, server = App(), Server()
    pending = [message]

    def receive() -> Any:
        return awaitable(pending.pop(), pauses) if pending else server.receive()

    await wrapped(app)(http(), receive, server.send)
    assert server.status == 204
    assert app.received[0] == message


async def cancelled(receive: Any, send: Any) -> asyncio.Task[None]:
    """A request that is cancelled while its body is waited for."""
    request = asyncio.create_task(wrapped(silent)(http(), receive, send))
    await asyncio.sleep(0.01)
    request.cancel()
    await asyncio.wait([request])
    return request


@pytest.mark.parametrize("first", [True, False], ids=["the first piece", "the second piece"])
async def test_a_cancellation_reaches_what_is_waited_for(first: bool) -> None:
    """As if nobody stood between: it can clean up, and take its time."""
    seen: list[str] = []
    server = Server({"type": "http.request", "body": b"[", "more_body": True})

    async def receive() -> dict[str, Any]:
        if server.messages and not first:
            return await server.receive()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)
            seen.append("cleaned up")
            raise
        raise AssertionError

    request = await cancelled(receive, server.send)
    assert request.cancelled()
    assert seen == ["cancelled", "cleaned up"]
    assert server.sent == []


async def test_a_cancellation_that_the_server_answers_is_an_answer() -> None:
    """What turns it into a message is believed."""
    server = Server()

    async def receive() -> dict[str, Any]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return {"type": "http.disconnect"}
        raise AssertionError

    request = await cancelled(receive, server.send)
    assert (request.exception(), server.sent) == (None, [])


async def test_a_cancellation_ends_what_can_only_go_on() -> None:
    """Steps that cannot be told of it are left where they are."""
    server = Server()
    request = await cancelled(lambda: Awaitable({"type": "http.disconnect"}, 10**9), server.send)
    assert request.cancelled()
    assert server.sent == []


async def test_a_slow_first_piece_is_told_that_its_time_is_up() -> None:
    """The time limit ends what is waited for, and nothing of it is left over."""
    seen: list[str] = []
    server = Server()

    async def receive() -> dict[str, Any]:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("ended")
        raise AssertionError

    await wrapped(silent, body_timeout=0.01)(http(), receive, server.send)
    assert (server.status, seen) == (408, ["ended"])


@pytest.mark.parametrize("pauses", [0, 1])
async def test_a_server_s_own_fault_is_its_own(pauses: int) -> None:
    """What receiving raises is raised, at once or later; a time-out of the server's is one."""

    async def receive() -> dict[str, Any]:
        for _ in range(pauses):
            await asyncio.sleep(0)
        raise fault

    fault: Exception = ConnectionResetError("gone")
    server = Server()
    with pytest.raises(ConnectionResetError, match="gone"):
        await wrapped(silent)(http(), receive, server.send)
    fault = TimeoutError()
    await wrapped(silent)(http(), receive, server.send)
    assert server.status == 408


@pytest.mark.parametrize("slow", [False, True])
async def test_it_works_below_a_middleware_that_waits_in_task_groups(slow: bool) -> None:
    """Starlette's BaseHTTPMiddleware gives a receive that runs in a task group of its own."""

    class Outer(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Response:
            answer = await call_next(request)
            answer.headers["x-outer"] = "1"
            return answer

    async def callbacks(request: Request) -> Response:
        return JSONResponse([len(request.state.call_outcomes), len(await request.body())])

    async def body() -> AsyncGenerator[bytes]:
        for start in range(0, len(whole), 100):
            if slow:
                await asyncio.sleep(0.001)
            yield whole[start : start + 100]

    whole = delivery()
    app = Starlette(routes=[Route(PATH, callbacks, methods=["POST"])])
    app.add_middleware(CallOutcomeMiddleware, router=OutcomeRouter(), path=PATH, auth=None, settle=0)
    app.add_middleware(Outer)
    app.add_middleware(Outer)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        answers = [await client.post("/api/callbacks/1", content=content) for content in (whole, body(), body())]
    assert [(answer.json(), answer.headers["x-outer"]) for answer in answers] == [([1, len(whole)], "1")] * 3


async def test_a_slow_sender_below_task_groups_is_refused_and_the_next_one_served() -> None:
    """The time limit is set within the other's waiting, and both end in order."""

    class Outer(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Response:
            answer: Response = await call_next(request)
            return answer

    middleware = Outer(wrapped(App(), body_timeout=0.01))
    slow, prompt = Server(), Server(*chunked(delivery()))
    await middleware(http(), never, slow.send)
    await middleware(http(), prompt.receive, prompt.send)
    assert (slow.status, prompt.status) == (408, 204)


LENGTH, ENCODING = b"content-length", b"content-encoding"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param([(LENGTH, b"9"), (LENGTH, b"9999999")], 204, id="two lengths: the body decides"),
        pytest.param([(LENGTH, b"0009999999")], 413, id="a length with zeros"),
        pytest.param([(LENGTH, b"\xb2")], 204, id="a length that is none"),
        pytest.param([(ENCODING, b"identity"), (ENCODING, b"Identity")], 204, id="twice none"),
        pytest.param([(ENCODING, b"identity, "), (ENCODING, b"")], 204, id="nothing, thrice"),
        pytest.param([(ENCODING, b"identity"), (ENCODING, b"gzip")], 415, id="none and one"),
        pytest.param([(ENCODING, b"gzip"), (ENCODING, b"identity")], 415, id="one and none"),
        pytest.param([(ENCODING, b"\xff")], 415, id="one that is no text"),
    ],
)
async def test_a_header_that_is_repeated_is_read_as_one(headers: Any, status: int) -> None:
    """Lengths that differ say nothing, and one encoding of several is enough."""
    server = Server(*chunked(delivery()))
    await wrapped(App(), max_body=99_999)(http(headers=headers), server.receive, server.send)
    assert server.status == status


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
    middleware = wrapped(App(), router, settle=0.3)
    for which in order:
        server = Server(*chunked(PAIR[which]))
        await middleware(http(), server.receive, server.send)
    assert called == []
    await until(lambda: called)
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


class Kept(MemoryStore):
    """A store in memory that says it is none: as if its writes cost nothing."""

    @property
    def durable(self) -> bool:
        return True


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
    kept=st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_the_app_and_the_server_see_the_same_with_and_without_the_middleware(
    response: dict[str, Any],
    headers: list[tuple[bytes, bytes]],
    events: list[Any],
    sizes: list[int],
    path: str,
    kept: bool,
) -> None:
    """The request reaches the app and the response the server unchanged, whatever the app is, also with a store."""
    rest, chunks = json.dumps(events, ensure_ascii=False).encode(), []
    for size in sizes:
        chunks.append(rest[:size])
        rest = rest[size:]
    bare_seen: list[Any] = []
    seen: list[Any] = []
    scopes = [http(path, headers=headers, query_string=b"q=%2B1") for _ in range(2)]
    bare = asyncio.run(observed(answering(response, bare_seen), scopes[0], chunked(*chunks, rest)))
    with_it = asyncio.run(
        observed(wrapped(answering(response, seen), store=Kept() if kept else None), scopes[1], chunked(*chunks, rest))
    )
    assert with_it == bare
    assert seen == bare_seen


# With a store


class Faulty(SQLiteStore):
    """A store that raises ``fault``, while it has one."""

    def __init__(self, path: Path, fault: StoreError | None = None) -> None:
        super().__init__(path, poll=0.02, timeout=0.5)
        self.fault = fault

    async def open(self) -> None:
        if self.fault is not None:
            raise self.fault
        await super().open()

    async def put(self, items: Sequence[Item]) -> Sequence[Offer]:
        if self.fault is not None:
            raise self.fault
        return await super().put(items)


@pytest.fixture
def store(tmp_path: Path) -> Faulty:
    return Faulty(tmp_path / "ringback.db")


def locked(store: SQLiteStore) -> sqlite3.Connection:
    """The lock that another process holds; closing the connection ends it."""
    connection = sqlite3.connect(store.path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


async def until(condition: Callable[[], object]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen within ten seconds")


async def settled(store: SQLiteStore) -> None:
    """Until something is done, and the store knows."""
    for _ in range(2000):
        stats = await store.stats()
        if stats.done or stats.dead:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it was not settled within ten seconds")


@asynccontextmanager
async def living(app: Any, *answers: dict[str, Any]) -> AsyncGenerator[None]:
    """The app's life as a server leads it; its answers are these, by default that all went well."""
    expected = answers or ({"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"})
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    heard: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan"}, told.get, heard.put))
    async with asyncio.timeout(10):
        await told.put({"type": "lifespan.startup"})
        assert await heard.get() == expected[0]
        yield
        await told.put({"type": "lifespan.shutdown"})
        for answer in expected[1:]:
            assert await heard.get() == answer
        await task


async def posted(app: Any, body: bytes | None = None) -> Server:
    server = Server(*chunked(delivery() if body is None else body))
    await app(http(), server.receive, server.send)
    return server


class Site:
    """A raw app that keeps the order of what happens, and speaks the lifespan protocol."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.fails = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.log.append("route")
            if self.fails:
                raise LookupError("the route's own")
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
            return
        await receive()
        self.log.append("opened")
        await send({"type": "lifespan.startup.complete"})
        assert (await receive()) == {"type": "lifespan.shutdown"}
        self.log.append("closed")
        await send({"type": "lifespan.shutdown.complete"})

    def router(self) -> OutcomeRouter:
        return collecting(self.log, lambda _: "hook")


UNAVAILABLE = {"type": "about:blank", "title": "Service unavailable", "status": 503}


def not_now(seconds: int) -> list[dict[str, Any]]:
    problem = json.dumps({**UNAVAILABLE, "detail": "the store cannot be used now"}, separators=(",", ":")).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"retry-after", str(seconds).encode()),
        (b"content-length", str(len(problem)).encode()),
    ]
    return [
        {"type": "http.response.start", "status": 503, "headers": headers},
        {"type": "http.response.body", "body": problem},
    ]


async def test_an_outcome_is_in_the_store_before_the_route_is_called(store: Faulty) -> None:
    """What the route answers is an acknowledgement: nothing may be lost after it."""
    waiting: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        waiting.append((await store.stats()).ready)
        await silent(scope, receive, send)

    middleware = wrapped(app, store=store, settle=3600)
    await posted(middleware)
    assert waiting == [1]
    await shut_down(middleware)


async def test_the_hooks_run_within_the_life_of_the_app(store: Faulty) -> None:
    """They may use what it opens, also for what an earlier process left behind, and what it has not closed yet."""
    site = Site()
    left = wrapped(site, site.router(), store=Faulty(store.path), worker=False)
    async with living(left):
        assert (await posted(left)).status == 204
    middleware = wrapped(site, site.router(), store=store)
    async with living(middleware):
        await until(lambda: "hook" in site.log)
    assert site.log == ["opened", "route", "closed", "opened", "hook", "closed"]


async def test_what_the_server_does_not_wait_for_is_given_back(store: Faulty, caplog: pytest.LogCaptureFixture) -> None:
    """The next start calls the hook again, and tells it that it may have begun before."""
    begun: list[tuple[int, bool]] = []
    ended = asyncio.Event()
    router = OutcomeRouter()

    @router.on_retryable
    async def slow(outcome: Outcome, ctx: HookContext) -> None:
        begun.append((ctx.attempt, ctx.redelivered))
        await ended.wait()

    middleware = wrapped(Site(), router, store=store, drain=0.01)
    async with living(middleware):
        await posted(middleware)
        await until(lambda: begun)
    assert {"event": "hooks.given_back", "count": 1, "timeout_seconds": 0.01} in lines(caplog)
    ended.set()
    async with living(middleware):
        await until(lambda: len(begun) == 2)
    assert begun == [(1, False), (1, True)]


async def test_while_the_store_is_locked_the_sender_is_asked_to_come_again(
    store: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    """503 before the route; the delivery is logged and counted when it comes again, once."""
    caplog.set_level("INFO", "ringback")
    site = Site()
    middleware = wrapped(site, site.router(), store=store, worker=False)
    async with living(middleware):
        other = locked(store)
        refused = [await posted(middleware) for _ in range(2)]
        assert [each.sent for each in refused] == [not_now(5)] * 2
        assert site.log == ["opened"]
        error = f"StoreUnavailable: {store.path}: database is locked"
        assert lines(caplog) == [{"event": "store.unavailable", "error": error, "suppressed": 0}] * 2
        other.close()
        assert (await posted(middleware)).status == 204
        assert (await store.stats()).ready == 1
    assert site.log == ["opened", "route", "closed"]
    assert [line["event"] for line in lines(caplog)] == ["store.unavailable"] * 2 + ["call.outcome"]


async def test_a_store_that_is_down_does_not_fill_the_log(
    store: Faulty, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many senders come: the budget's lines, and no other line for any of them."""
    monkeypatch.setattr(logs, "_store_faults", logs.Budget(lines=5, seconds=10.0, clock=lambda: 0.0))
    middleware = wrapped(Site(), collecting([]), store=store, worker=False)
    async with living(middleware):
        store.fault = StoreUnavailable("down")
        assert {(await posted(middleware)).status for _ in range(50)} == {503}
        assert lines(caplog) == [{"event": "store.unavailable", "error": "StoreUnavailable: down", "suppressed": 0}] * 5


@pytest.mark.parametrize(
    ("auth", "body", "status"),
    [
        pytest.param(Check(MISSING), delivery(), 401, id="sender refused"),
        pytest.param(None, b"[{", 400, id="no delivery"),
        pytest.param(None, b" " * 2000, 413, id="too large"),
    ],
)
async def test_what_is_refused_is_not_kept(store: Faulty, auth: Any, body: bytes, status: int) -> None:
    """A stranger cannot write to the store."""
    middleware = wrapped(Site(), collecting([]), store=store, auth=auth, max_body=1000)
    async with living(middleware):
        assert (await posted(middleware, body)).status == status
        assert await store.stats() == Stats()


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [(StoreUnavailable("down"), 5), (StoreFull("the disk is full"), 30), (StoreError("corrupt"), 30)],
    ids=["unavailable", "full", "broken"],
)
async def test_the_sender_is_told_when_to_come_again(store: Faulty, fault: StoreError, seconds: int) -> None:
    """Sooner for what may pass soon."""
    middleware = wrapped(App(), collecting([]), store=store)
    store.fault = fault
    assert (await posted(middleware)).sent == not_now(seconds)


async def test_without_a_store_outcomes_may_be_kept_in_memory(store: Faulty, caplog: pytest.LogCaptureFixture) -> None:
    """on_store_failure="inline": the route and the hooks are called all the same, and the log says so."""
    site = Site()
    middleware = wrapped(site, site.router(), store=store, on_store_failure="inline")
    async with living(middleware):
        store.fault = StoreUnavailable("down")
        assert (await posted(middleware)).status == 204
        await until(lambda: "hook" in site.log)
        assert {"event": "store.bypassed", "count": 1} in lines(caplog)
    assert sorted(site.log) == ["closed", "hook", "opened", "route"]


async def test_a_redelivery_after_the_routes_own_error_calls_the_route_and_no_hook(
    store: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    """The outcome was kept the first time; what the route does is its own business."""
    caplog.set_level("INFO", "ringback")
    site = Site()
    middleware = wrapped(site, site.router(), store=store)
    async with living(middleware):
        site.fails = True
        with pytest.raises(LookupError, match="the route's own"):
            await posted(middleware)
        await settled(store)
        site.fails = False
        assert (await posted(middleware)).status == 204
        stats = await store.stats()
        assert (stats.ready, stats.running, stats.done) == (0, 0, 1)
    assert site.log.count("hook") == 1
    assert site.log.count("route") == 2
    assert [line["event"] for line in lines(caplog)] == ["call.outcome", "call.outcome_duplicate", "call.outcome"]


async def test_without_a_worker_it_only_persists(store: Faulty) -> None:
    """Another process calls the hooks."""
    site = Site()
    middleware = wrapped(site, site.router(), store=store, worker=False)
    async with living(middleware):
        await posted(middleware)
        await asyncio.sleep(0.1)
        assert (await store.stats()).ready == 1
    assert site.log == ["opened", "route", "closed"]


def test_without_a_worker_a_store_is_needed() -> None:
    """Nobody else could call the hooks."""
    with pytest.raises(ConfigurationError, match="worker=False needs a store"):
        wrapped(silent, worker=False)


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param({"type": "websocket", "path": "/api/callbacks/1"}, id="websocket"),
        pytest.param(http("/elsewhere"), id="foreign path"),
        pytest.param(http(method="GET"), id="GET"),
    ],
)
async def test_all_else_passes_through_untouched_while_the_store_is_down(store: Faulty, scope: Any) -> None:
    """It is no business of the store."""
    store.fault = StoreUnavailable("down")
    app, server = App(), Server()
    await wrapped(app, collecting([]), store=store)(scope, server.receive, server.send)
    assert app.calls == [(scope, server.receive, server.send)]
    assert "state" not in scope


async def test_a_delivery_that_concerns_no_hook_needs_no_store(store: Faulty) -> None:
    """Nothing of it is to be kept."""
    middleware = wrapped(Site(), collecting([]), store=store)
    store.fault = StoreUnavailable("down")
    assert (await posted(middleware, delivery(event("PlayFailed", 400, 8535)))).status == 204


# The lifespan


async def test_a_start_without_a_store_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    """Of what a crash loses; without hooks nothing is to lose."""
    async with living(wrapped(Site(), collecting([]))):
        pass
    async with living(wrapped(Site())):
        pass
    assert [line["event"] for line in lines(caplog)] == ["hooks.volatile"]


async def test_a_store_that_cannot_work_ends_the_start(store: Faulty) -> None:
    """The server hears of it with the message, after the app has closed what it had opened."""
    store.fault = StoreError("ringback.db is of a newer release; install that")
    site = Site()
    answers = {"type": "lifespan.startup.failed", "message": "ringback.db is of a newer release; install that"}
    async with living(wrapped(site, site.router(), store=store), answers):
        pass
    assert site.log == ["opened", "closed"]


async def test_a_store_that_cannot_work_is_told_though_the_app_raises_when_it_closes(store: Faulty) -> None:
    """Neither fault hides the other."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise LookupError("already closed")

    store.fault = StoreError("corrupt")
    server = Server({"type": "lifespan.startup"})
    with pytest.raises(LookupError, match="already closed"):
        await wrapped(app, store=store)({"type": "lifespan"}, server.receive, server.send)
    assert server.sent == [{"type": "lifespan.startup.failed", "message": "corrupt"}]


async def test_an_app_starts_though_its_store_is_down_for_now(store: Faulty, caplog: pytest.LogCaptureFixture) -> None:
    """It answers 503 until the store is back, and goes on by itself."""
    store.fault = StoreUnavailable("connection refused")
    site = Site()
    middleware = wrapped(site, site.router(), store=store)
    async with living(middleware):
        assert (await posted(middleware)).sent == not_now(5)
        store.fault = None
        assert (await posted(middleware)).status == 204
        await until(lambda: "hook" in site.log)
    assert lines(caplog)[0]["error"] == "StoreUnavailable: connection refused"


async def raises_at_once(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await App()(scope, receive, send)


async def returns_at_once(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await App()(scope, receive, send)


async def returns_without_an_answer(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    if scope["type"] == "http":
        await App()(scope, receive, send)


async def returns_when_it_has_started(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.complete"})
    else:
        await App()(scope, receive, send)


@pytest.mark.parametrize(
    "app", [raises_at_once, returns_at_once, returns_without_an_answer, returns_when_it_has_started]
)
async def test_for_an_app_that_leaves_the_protocol_the_server_is_answered(
    store: Faulty, caplog: pytest.LogCaptureFixture, app: Any
) -> None:
    """With a store: what waits is worked on from the start, and drained at the end."""
    called: list[str] = []
    left = wrapped(silent, collecting([]), store=Faulty(store.path), worker=False)
    async with living(left):
        await posted(left)
    middleware = wrapped(app, collecting(called), store=store)
    async with living(middleware):
        await until(lambda: called)
    assert called == ["CallDisconnected"]
    assert lines(caplog) == []


async def test_for_an_app_that_leaves_the_protocol_a_bad_store_ends_the_start_too(store: Faulty) -> None:
    """The server is told as ever."""
    store.fault = StoreError("corrupt")
    async with living(wrapped(raises_at_once, store=store), {"type": "lifespan.startup.failed", "message": "corrupt"}):
        pass


async def test_without_a_store_an_app_that_leaves_the_protocol_is_left_alone() -> None:
    """There is nothing to open and to close; servers know what to do."""
    server = Server({"type": "lifespan.startup"})
    with pytest.raises(NotImplementedError):
        await wrapped(raises_at_once)({"type": "lifespan"}, server.receive, server.send)
    await wrapped(returns_at_once)({"type": "lifespan"}, server.receive, server.send)
    assert server.sent == []
    assert len(server.messages) == 1


async def test_an_app_that_fails_to_start_is_not_overruled(store: Faulty) -> None:
    """Its answer and its exception reach the server, and no hook is called."""
    site = Site()
    left = wrapped(silent, collecting([]), store=Faulty(store.path), worker=False)
    async with living(left):
        await posted(left)
    failed = {"type": "lifespan.startup.failed", "message": "no database"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(failed)
        raise LookupError("no database")

    middleware, server = wrapped(app, site.router(), store=store), Server({"type": "lifespan.startup"})
    with pytest.raises(LookupError, match="no database"):
        await middleware({"type": "lifespan"}, server.receive, server.send)
    assert server.sent == [failed]
    await asyncio.sleep(0.1)
    assert site.log == []


@pytest.mark.parametrize("failed", ["lifespan.startup.failed", "lifespan.shutdown.failed"])
async def test_after_an_app_has_said_that_it_failed_nobody_is_waited_for(store: Faulty, failed: str) -> None:
    """The server has its last answer."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": failed, "message": "no"})

    server = Server({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    await wrapped(app, store=store)({"type": "lifespan"}, server.receive, server.send)
    assert server.sent == [{"type": failed, "message": "no"}]
    assert len(server.messages) == 1


async def test_an_app_that_raises_while_it_lives_is_not_hidden(store: Faulty) -> None:
    """Servers go on without its lifespan, and the hooks do."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            raise LookupError("lost")
        await App()(scope, receive, send)

    called: list[str] = []
    middleware, server = wrapped(app, collecting(called), store=store), Server({"type": "lifespan.startup"})
    with pytest.raises(LookupError, match="lost"):
        await middleware({"type": "lifespan"}, server.receive, server.send)
    assert (await posted(middleware)).status == 204
    await until(lambda: called)
    middleware.app = lifespan_only
    await shut_down(middleware)


async def test_a_cancelled_lifespan_is_cancelled(store: Faulty) -> None:
    """A server that has no time ends at once: no app is taken for one without a lifespan by that."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    server = Server({"type": "lifespan.startup"})
    task = asyncio.create_task(wrapped(app, store=store)({"type": "lifespan"}, server.receive, server.send))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server.sent == []


async def test_a_server_without_lifespan_is_noticed_once(store: Faulty, caplog: pytest.LogCaptureFixture) -> None:
    """The hooks run all the same, from the first delivery on."""
    called: list[str] = []
    middleware = wrapped(App(), collecting(called, lambda outcome: outcome.call_connection_id), store=store)
    legs = [f"1f0e5c1a-0000-4000-8000-00000000010{number}" for number in range(3)]
    for leg in legs:
        assert (await posted(middleware, delivery(event(leg=leg)))).status == 204
    await until(lambda: len(called) == 3)
    assert sorted(called) == legs
    assert [line["event"] for line in lines(caplog)] == ["lifespan.missing"]
    middleware.app = lifespan_only
    await shut_down(middleware)


# What is kept


async def test_nothing_private_is_in_the_bytes_of_the_store(store: Faulty, caplog: pytest.LogCaptureFixture) -> None:
    """No number of a message, no token, no secret of a URL: neither on disk nor in the log."""
    caplog.set_level("INFO", "ringback")
    told = event("CreateCallFailed")
    told["source"] = "calling/callConnections/1?secret=sesame-of-the-app"
    told["token"] = "sesame-of-the-event"
    told["data"]["resultInformation"]["message"] = "Callee 4:+14255550100, +1 425 555 0101 is busy."
    told["data"]["resultInformation"]["sipDetails"] = {"code": 486, "message": "sip:+14255550102@sbc.example.com"}
    router = OutcomeRouter()

    @router.on_retryable
    def fails(outcome: Outcome) -> None:
        raise GiveUp("cannot reach +1 425 555 0103")

    middleware, body = wrapped(Site(), router, store=store), delivery(told)
    headers = [(b"authorization", b"Bearer sesame-of-the-sender"), (b"content-type", b"application/json")]
    written = b""
    async with living(middleware):
        server = Server(*chunked(body))
        await middleware(http(headers=headers, query_string=b"secret=sesame-of-the-query"), server.receive, server.send)
        await settled(store)
        written = b"".join(file.read_bytes() for file in store.path.parent.iterdir())
    written += b"".join(file.read_bytes() for file in store.path.parent.iterdir())
    assert LEG.encode() in written
    shown = repr([vars(record) for record in caplog.records]).encode()
    for private in (b"sesame", b"4255550", b"425 555", b"Bearer"):
        assert private not in written
        assert private not in shown
