"""The middleware before an ASGI app: what it answers, what it hands on, and when it calls the hooks."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from structlog.contextvars import get_contextvars

from asgi_apps import (
    CALL,
    LEG,
    MISSING,
    PATH,
    App,
    Check,
    Server,
    answered,
    chunked,
    collecting,
    delivery,
    event,
    http,
    lifespan_only,
    lines,
    problem,
    shut_down,
    silent,
    until,
    wrapped,
)
from ringback import (
    CallOutcomeMiddleware,
    Catalog,
    ConfigurationError,
    Outcome,
    OutcomeRouter,
)
from ringback.stores import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request


# Which requests it concerns


@pytest.mark.parametrize(
    ("template", "path", "root_path", "concerned"),
    [
        pytest.param("/cb", "/cb", "", True, id="plain"),
        pytest.param("/cb/{id}", "/cb/7", "", True, id="template"),
        pytest.param("/cb/{id:int}", "/cb/7", "", True, id="convertor"),
        pytest.param("/cb/{id:int}", "/cb/x", "", False, id="convertor that does not fit"),
        pytest.param("/cb/{rest:path}", "/cb/a/b", "", True, id="path convertor"),
        pytest.param("/cb/{id}", "/cb/7/", "", True, id="trailing slash"),
        pytest.param("/sub/cb", "/sub/cb", "/sub", True, id="the whole path, below a mount"),
        pytest.param("/cb/{id}", "/cb/7/8", "", False, id="longer path"),
        pytest.param("/cb/{id}", "/cb", "", False, id="shorter path"),
        pytest.param("/cb", "/other/cb", "", False, id="foreign path"),
        pytest.param(["/a", "/b/{id}"], "/a", "", True, id="first of several"),
        pytest.param(["/a", "/b/{id}"], "/b/1", "", True, id="second of several"),
        pytest.param(("/a", "/b/{id}"), "/c", "", False, id="none of several"),
        pytest.param("/cb", "/sub/cb", "/sub", True, id="below a mount"),
        pytest.param("/sub/cb", "/v1/sub/cb", "/v1/sub", True, id="below a mount, behind the server's root path"),
        pytest.param("/cb", "/sub/cb", "/sub/", True, id="root path with a slash"),
        pytest.param("/cb", "/cb", "/sub", True, id="root path that the proxy has cut off"),
        pytest.param("/cb", "/subway/cb", "/sub", False, id="root path is no prefix of names"),
    ],
)
async def test_a_post_is_a_delivery_where_its_path_fits_a_template(
    template: str | Sequence[str], path: str, root_path: str, concerned: bool
) -> None:
    """In any spelling, relative to the root path or whole; test_target.py has the spellings."""
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
    app.add_middleware(CallOutcomeMiddleware, router=OutcomeRouter(settle=0), path=PATH)
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
    assert lines(caplog) == [{"event": "handshake.answered", "delivery_schema": "eventgrid"}]


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
    assert lines(caplog) == [{"event": "handshake.answered", "delivery_schema": "cloudevents"}]


# Near misses


def saying(status: int) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


SPELLED_TOO = "the app routes other spellings of its path, too; they are verified and classified like the path"
NO_ROUTE = "the app has no route for this spelling; give Microsoft the URL as the route has it, and path= likewise"
PASSED_BY = (
    "it passed by, neither verified nor classified; if it was a callback, give path= as the app gets it, "
    "with the prefix of every mount and router, and with its last {parameter}"
)


@pytest.mark.parametrize(
    ("path", "method", "status", "said"),
    [
        pytest.param("/api/callbacks/1/", "POST", 204, (True, SPELLED_TOO), id="spelled, and routed"),
        pytest.param("/api/callbacks/1/", "POST", 307, (True, NO_ROUTE), id="spelled, and redirected"),
        pytest.param("//api/callbacks/1", "POST", 404, (True, NO_ROUTE), id="spelled, and not routed"),
        pytest.param("/api/callbacks/1/", "POST", 500, None, id="spelled, and a fault of the route"),
        pytest.param("/api/callbacks/1/", "POST", 401, None, id="spelled, and refused"),
        pytest.param("/sub/api/callbacks/1", "POST", 404, (False, PASSED_BY), id="near, and not routed"),
        pytest.param("/API/callbacks/1", "post", 307, (False, PASSED_BY), id="near, and redirected"),
        pytest.param("/sub/api/callbacks/1", "POST", 204, (False, PASSED_BY), id="near, and routed"),
        pytest.param("/sub/api/callbacks/1", "POST", 500, None, id="near, and a fault of the route"),
        pytest.param("/api/callbacks", "POST", 204, (False, PASSED_BY), id="without the parameter, and routed"),
        pytest.param("/sub/api/callbacks/1", "GET", 404, None, id="near, but no delivery"),
        pytest.param("/api/callbacks/1", "POST", 404, None, id="the very path"),
        pytest.param("/orders/1", "POST", 404, None, id="foreign path"),
    ],
)
async def test_a_near_miss_is_said_once(
    caplog: pytest.LogCaptureFixture, path: str, method: str, status: int, said: tuple[bool, str] | None
) -> None:
    """Somebody has written the path in two ways; the line names the setting, not what was sent. The line of a delivery
    has the call's ids.
    """
    middleware = wrapped(saying(status))
    for _ in range(2):
        server = Server(*chunked(delivery()))
        await middleware(http(path, method), server.receive, server.send)
        assert server.status == status
    near = [line for line in lines(caplog) if line["event"] == "callback.near_miss"]
    line: dict[str, Any] = {"event": "callback.near_miss", "path": PATH, "status": status}
    if said is not None and said[0]:
        line |= {"call_connection_id": LEG, "server_call_id": "server-1", "correlation_id": CALL}
    assert near == ([] if said is None else [{**line, "guarded": said[0], "advice": said[1]}])


class Layer:
    root_path = ""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: object, receive: object, send: object) -> None: ...


@pytest.mark.parametrize("layers", [0, 2, 40])
async def test_a_prefix_that_the_app_cuts_off_by_itself_is_known(layers: int) -> None:
    """FastAPI's `root_path`, also behind other middlewares; not behind any number of them."""
    app: Any = App()
    app.root_path = "/sub"
    for _ in range(layers):
        app = Layer(app)
    check = Check(MISSING)
    middleware = wrapped(app, auth=check)
    middleware.app = App()
    await middleware(http("/sub/api/callbacks/1"), Server().receive, Server().send)
    assert check.asked == (layers < 32)


ADVICE = (
    "anyone who can reach the callback URL can send events; pass auth=CallbackTokenVerifier(audience=...), "
    "or auth=None to accept every sender"
)


async def test_an_app_that_does_not_say_who_may_call_is_warned_once(caplog: pytest.LogCaptureFixture) -> None:
    """At start-up; every delivery is accepted all the same."""
    middleware = CallOutcomeMiddleware(App(), router=OutcomeRouter(settle=0), path=PATH)
    assert lines(caplog) == [{"event": "callbacks.unverified", "advice": ADVICE}]
    for _ in range(2):
        server = Server(*chunked(delivery()))
        await middleware(http(), server.receive, server.send)
        assert server.status == 204
    assert [line["event"] for line in lines(caplog)].count("callbacks.unverified") == 1


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
    missing, abandoned = lines(caplog)
    assert missing["event"] == "lifespan.missing"
    assert abandoned == {"event": "hooks.abandoned", "count": 1, "timeout_seconds": 0.01}


# Configuration


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"router": None}, "router None is no OutcomeRouter; pass router=OutcomeRouter()", id="router"),
        pytest.param(
            {"router": OutcomeRouter},
            "router <class 'ringback.web.endpoint.OutcomeRouter'> is no OutcomeRouter; pass router=OutcomeRouter()",
            id="router class",
        ),
        pytest.param({"path": "cb"}, "path 'cb' does not start with '/'; write '/cb'", id="relative path"),
        pytest.param({"path": ""}, "path '' does not start with '/'; write '/'", id="empty path"),
        pytest.param(
            {"path": ["/a", "/cb/{id:wrong}"]},
            "path '/cb/{id:wrong}' has the convertor 'wrong'; known are float, int, path, str, uuid, and {id} alone",
            id="convertor",
        ),
        pytest.param(
            {"path": "/{id}/{id}"},
            "path '/{id}/{id}' names a parameter twice; give each a name of its own",
            id="name twice",
        ),
        pytest.param(
            {"path": []}, "path names no path; give the callback route's, such as '/api/callbacks'", id="no path"
        ),
        pytest.param({"max_body": 0}, "max_body 0 accepts nothing; give a positive number", id="max_body"),
        pytest.param({"max_events": 0}, "max_events 0 accepts nothing; give a positive number", id="max_events"),
        pytest.param({"max_headers": 0}, "max_headers 0 accepts nothing; give a positive number", id="max_headers"),
        pytest.param({"max_headers": -1}, "max_headers -1 accepts nothing; give a positive number", id="negative"),
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
