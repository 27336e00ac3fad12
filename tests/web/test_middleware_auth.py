"""The middleware before an ASGI app: who may call, what may come without a token, and secrets of a URL."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from asgi_apps import (
    MISSING,
    SECRET,
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
    never,
    problem,
    shut_down,
    silent,
    wrapped,
)
from ringback import (
    Head,
    Refusal,
    SharedSecret,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


# Who may call


class EventGrid(Check):
    def allows_handshake(self, head: Head) -> bool:
        return head.values("aeg-subscription-name") == ["calls"]


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


@pytest.mark.parametrize(
    ("method", "headers", "asked"),
    [
        pytest.param("PUT", [], 1, id="PUT"),
        pytest.param("DELETE", [], 1, id="DELETE"),
        pytest.param("QUERY", [(b"content-length", b"9")], 1, id="a method of tomorrow"),
        pytest.param("GET", [(b"content-length", b"9")], 1, id="GET with a body"),
        pytest.param("HEAD", [(b"transfer-encoding", b"chunked")], 1, id="HEAD with a body"),
        pytest.param("OPTIONS", [(b"content-length", b"9")], 1, id="OPTIONS with a body"),
        pytest.param("GET", [(b"content-length", b"0")], 0, id="GET with a body of no bytes"),
        pytest.param("get", [], 0, id="GET in lower case"),
        pytest.param("post", [], 1, id="POST in lower case"),
    ],
)
@pytest.mark.parametrize("refused", [True, False])
async def test_whatever_may_bring_a_body_to_the_route_is_checked(
    method: str, headers: list[tuple[bytes, bytes]], asked: int, refused: bool
) -> None:
    """Some frameworks route every method to one view, which may read events from it."""
    check, app = Check(MISSING if refused else None), App()
    server = Server(*chunked(delivery()))
    await wrapped(app, auth=check)(http(method=method, headers=headers), server.receive, server.send)
    assert check.asked == asked
    assert server.status == (401 if refused and asked else 204)
    assert len(app.calls) == (0 if refused and asked else 1)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize(
    ("messages", "asked"),
    [
        pytest.param(chunked(b""), 0, id="no body"),
        pytest.param(chunked(b"[]"), 1, id="a body that nothing has announced"),
        pytest.param(chunked(b"", b"[]"), 1, id="a body that comes later"),
        pytest.param([{"type": "http.disconnect"}], 0, id="a sender that left"),
    ],
)
async def test_over_http_2_the_first_message_says_if_there_is_a_body(
    method: str, messages: list[dict[str, Any]], asked: int
) -> None:
    """A body need not be announced there; the route gets the message once more."""
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        got.extend([await receive(), await receive()])

    check, server = Check(MISSING), Server(*messages)
    scope = http(method=method, headers=[(b"accept", b"*/*")], http_version="2")
    await wrapped(app, auth=check)(scope, server.receive, server.send)
    assert check.asked == asked
    assert got == ([] if asked else [messages[0], {"type": "http.disconnect"}])


async def test_a_sender_that_says_nothing_over_http_2_is_checked() -> None:
    """It may have a body still."""
    check, server = Check(MISSING), Server()
    scope = http(method="GET", http_version="2")
    await wrapped(App(), auth=check, body_timeout=0.01)(scope, asyncio.Event().wait, server.send)
    assert (check.asked, server.status) == (1, 401)


async def test_a_post_in_lower_case_is_a_delivery() -> None:
    """Django, Flask and Quart take it for one."""
    app, server = App(), Server(*chunked(delivery()))
    await wrapped(app)(http(method="post"), server.receive, server.send)
    [(scope, _, _)] = app.calls
    assert (scope["method"], len(scope["state"]["call_outcomes"])) == ("post", 1)


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
    assert lines(caplog) == [{"event": "handshake.answered", "delivery_schema": "eventgrid"}]


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
    assert (slow.sent, gone.sent) == (UNAUTHORIZED, UNAUTHORIZED)
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


async def test_a_secret_is_hidden_at_a_near_miss_too() -> None:
    """The URL was built for the callback route."""
    scope = http("/sub/api/callbacks/1", raw_path=b"/sub/api/callbacks/1", query_string=f"secret={SPELLED}".encode())
    await wrapped(App(), auth=SharedSecret(SECRET))(scope, Server().receive, Server().send)
    assert scope["query_string"] == b"secret=[secret]"


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
