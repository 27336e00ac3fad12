"""The decorator: who may call, and what the log and the URL keep of a secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from asgi_apps import MISSING, Check
from endpoints import BODY, EVENT, FRAMEWORKS, LEG, collecting, fastapi, lines, post, starlette
from ringback import (
    ConfigurationError,
    Head,
    OutcomeRouter,
    Refusal,
    SharedSecret,
)

if TYPE_CHECKING:
    from collections.abc import Callable


# Who may call

SECRET = "a-shared-secret-of-this-app"
KIND = "Microsoft.EventGrid.SubscriptionValidationEvent"
VALIDATION = {"id": "1", "eventType": KIND, "data": {"validationCode": "code-1"}}
ADVICE = (
    "anyone who can reach the callback URL can send events; pass auth=CallbackTokenVerifier(audience=...), "
    "or auth=None to accept every sender"
)


class EventGrid(Check):
    """A check that lets handshakes of the subscription `calls` be answered."""

    def allows_handshake(self, head: Head) -> bool:
        return head.values("aeg-subscription-name") == ["calls"]


def rejection(status: int, reason: str) -> dict[str, Any]:
    return {"event": "callback.rejected", "status": status, "reason": reason, "suppressed": 0}


def unauthorized(answer: Any) -> bool:
    """Whether the answer is the 401 that says no more than that."""
    return (
        answer.status_code == 401
        and answer.headers["www-authenticate"] == "Bearer"
        and answer.headers["content-type"] == "application/problem+json"
        and json.loads(answer.read() if isinstance(answer, httpx.Response) else answer.body)
        == {"type": "about:blank", "title": "Unauthorized", "status": 401}
    )


def guarded(called: list[str], **options: Any) -> Any:
    """An endpoint that notes its calls, as its hook does."""

    @collecting(called).callback(**options)
    async def callbacks(request: Request) -> Response:
        called.append("endpoint")
        return Response()

    return callbacks


@FRAMEWORKS
async def test_a_refused_request_does_not_reach_the_endpoint(
    framework: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither it nor a hook; one line says why."""
    caplog.set_level("INFO", "ringback")
    called: list[str] = []
    assert unauthorized(await post(framework(guarded(called, auth=[Check(MISSING), Check(Refusal("b"))]))))
    assert called == []
    assert lines(caplog) == [rejection(401, "b")]


async def test_a_fault_that_will_pass_is_a_503() -> None:
    """With the time to come again."""
    answer = await post(starlette(guarded([], auth=Check(Refusal("keys_unavailable", 503, 5)))))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json() == {"type": "about:blank", "title": "Service unavailable", "status": 503}


@pytest.mark.parametrize("check", [Check(MISSING), EventGrid(MISSING)], ids=["any", "Event Grid"])
async def test_the_body_of_a_refused_request_is_not_read(check: Check) -> None:
    """Where the framework has not read it before."""

    async def unreadable() -> Any:
        raise AssertionError("the body of a refused request is read")

    called: list[str] = []
    scope = {"type": "http", "method": "POST", "path": "/cb/1", "headers": []}
    answer = await guarded(called, auth=check)(Request(scope, unreadable))
    assert unauthorized(answer)
    assert called == []


async def test_fastapi_fills_parameters_before_the_sender_is_verified() -> None:
    """As docs/frameworks.md says: a body that does not fit its parameter is refused by FastAPI, whoever sends it."""
    called: list[str] = []
    first = Depends(lambda: called.append("dependency"))

    @collecting(called).callback(auth=Check(MISSING))
    async def callbacks(events: dict[str, Any]) -> None:
        called.append("endpoint")

    answer = await post(fastapi(callbacks, dependencies=[first]))
    assert (answer.status_code, called) == (422, ["dependency"])


@FRAMEWORKS
async def test_an_accepted_request_reaches_the_endpoint(framework: Callable[..., Any]) -> None:
    """An async function is check enough."""

    async def from_inside(head: Head) -> Refusal | None:
        return None if head.values("x-from") == ["inside"] else MISSING

    called: list[str] = []
    app = framework(guarded(called, auth=from_inside))
    assert (await post(app, x_from="inside")).status_code == 200
    assert called[0] == "endpoint"
    assert unauthorized(await post(app, x_from="outside"))


async def test_too_many_header_fields_are_refused_before_the_check() -> None:
    """Whoever sends them."""
    check = Check(None)
    app = starlette(guarded([], auth=check, max_headers=7))
    assert (await post(app)).status_code == 200
    answer = await post(app, x_a="1", x_b="2", x_c="3")
    assert answer.json() == {
        "type": "about:blank",
        "title": "Too many header fields",
        "status": 431,
        "detail": "more than 7 header fields are not accepted",
    }
    assert check.asked == 1


async def test_an_app_that_does_not_say_who_may_call_is_warned_once(caplog: pytest.LogCaptureFixture) -> None:
    """With the first delivery, not when the module is imported: only then is logging set up."""
    app = starlette(guarded([]))
    assert lines(caplog) == []
    for _ in range(2):
        assert (await post(app)).status_code == 200
    warnings = [line for line in lines(caplog) if line["event"] == "callbacks.unverified"]
    assert warnings == [{"event": "callbacks.unverified", "advice": ADVICE}]


@FRAMEWORKS
async def test_a_validation_of_an_allowed_subscription_needs_no_token(framework: Callable[..., Any]) -> None:
    """Event Grid validates before it sends tokens."""
    called: list[str] = []
    app = framework(guarded(called, auth=[Check(MISSING), EventGrid(MISSING)]))
    headers = {"aeg_event_type": "SubscriptionValidation", "aeg_subscription_name": "calls"}
    answer = await post(app, json.dumps([VALIDATION]).encode(), **headers)
    assert (answer.status_code, answer.json()) == (200, {"validationResponse": "code-1"})
    assert called == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(BODY, id="another event"),
        pytest.param(json.dumps([VALIDATION, EVENT]).encode(), id="a validation beside another event"),
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
    app = starlette(guarded(called, auth=EventGrid(MISSING), max_body=2000))
    headers = {"aeg_event_type": "SubscriptionValidation", "aeg_subscription_name": "calls"}
    assert unauthorized(await post(app, body, **headers))
    assert called == []
    assert lines(caplog) == [rejection(401, "token_missing")]


async def test_a_refused_sender_that_leaves_is_a_refused_sender(caplog: pytest.LogCaptureFixture) -> None:
    """One line, of those whose rate is bounded."""

    async def gone() -> Any:
        return {"type": "http.disconnect"}

    headers = [(b"aeg-event-type", b"SubscriptionValidation"), (b"aeg-subscription-name", b"calls")]
    scope = {"type": "http", "method": "POST", "path": "/cb/1", "headers": headers}
    assert unauthorized(await guarded([], auth=EventGrid(MISSING))(Request(scope, gone)))
    assert lines(caplog) == [rejection(401, "token_missing")]


async def test_a_validation_beside_other_events_is_passed_on() -> None:
    """It does not swallow what came with it."""
    called: list[str] = []
    answer = await post(starlette(guarded(called, auth=None)), json.dumps([VALIDATION, EVENT]).encode())
    assert (answer.status_code, answer.content) == (200, b"")
    assert called[0] == "endpoint"


@FRAMEWORKS
@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(BODY, 200, id="delivery"),
        pytest.param(b"[{", 400, id="no delivery"),
        pytest.param(BODY.replace(LEG.encode(), b"raise"), 500, id="endpoint that raises"),
    ],
)
async def test_a_secret_is_hidden_once_the_endpoint_has_seen_the_url(
    framework: Callable[..., Any], body: bytes, status: int
) -> None:
    """The server logs the scope's URL when the response starts."""
    urls: list[str] = []

    @OutcomeRouter(settle=0).callback(auth=SharedSecret(SECRET))
    async def callbacks(request: Request) -> Response:
        urls.append(str(request.url))
        if request.state.call_outcomes[0].call_connection_id == "raise":
            raise LookupError("the endpoint's own")
        return Response()

    inner = framework(callbacks)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def noting(message: Any) -> None:
            if message["type"] == "http.response.start":
                urls.append(scope["query_string"].decode())
            await send(message)

        await inner(scope, receive, noting)

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        answer = await client.post(f"/cb/1?secret={SECRET}", content=body)
    assert answer.status_code == status
    seen = [] if status == 400 else [f"http://app/cb/1?secret={SECRET}"]
    assert urls == [*seen, "secret=[secret]"]


def test_an_auth_that_is_no_check_is_refused_when_decorating() -> None:
    """Not on the first call of the night."""
    with pytest.raises(ConfigurationError) as refused:
        guarded([], auth=[])
    assert str(refused.value) == "auth names no check; pass a verifier, or auth=None to accept every sender"
