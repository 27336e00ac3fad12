"""The decorator around one callback endpoint, on Starlette and on FastAPI."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import inspect
import json
import threading
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import pytest
from fastapi import BackgroundTasks, Body, Depends, FastAPI, HTTPException
from fastapi import Request as FastAPIRequest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from structlog.contextvars import get_contextvars

from ringback import (
    Catalog,
    ConfigurationError,
    Head,
    Outcome,
    OutcomeRouter,
    Refusal,
    RegistrationError,
    SharedSecret,
    StoreError,
    StoreUnavailable,
)
from ringback import lines as log_lines
from ringback.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path
    from types import ModuleType

    from ringback.latch import Offer
    from ringback.stores.port import Item

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
EVENT = {
    "id": "1f0e5c1a-0000-4000-8000-000000000003",
    "type": "Microsoft.Communication.CallDisconnected",
    "data": {"callConnectionId": LEG, "resultInformation": {"code": 486, "subCode": 560486, "message": ""}},
}
BODY = json.dumps([EVENT]).encode()
TOO_LARGE = "the body has more than 20 bytes; at most 20 are accepted"
EMPTY = "the body is empty; send a JSON array of CloudEvents"


@pytest.fixture(autouse=True, params=[True, False], ids=["shortcut", "plain"])
def _shortcut(request: pytest.FixtureRequest) -> Iterator[None]:
    """Everything twice: with the shortcut to the log line, and without."""
    log_lines.use_shortcut(request.param)
    yield
    log_lines.use_shortcut(True)


class Item(BaseModel):
    type: str


async def tenant() -> str:
    return "tenant-1"


def collecting(into: list[Any]) -> OutcomeRouter:
    """A router whose hook for every call's end notes it in a list."""
    router = OutcomeRouter(settle=0)

    @router.on_retryable
    async def collect(outcome: Outcome) -> None:
        into.append("hook")

    return router


def starlette(endpoint: Callable[..., Any]) -> Starlette:
    return Starlette(routes=[Route("/cb/{context}", endpoint, methods=["POST"])])


def fastapi(endpoint: Callable[..., Any], **options: Any) -> FastAPI:
    app = FastAPI()
    app.post("/cb/{context}", **options)(endpoint)
    return app


async def post(app: Any, body: bytes = BODY, method: str = "POST", **headers: str) -> httpx.Response:
    headers = {"content-type": "application/json", **{name.replace("_", "-"): each for name, each in headers.items()}}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        return await client.request(method, "/cb/1", content=body, headers=headers)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.__dict__["ringback"] for record in caplog.records if record.name == "ringback"]


FRAMEWORKS = pytest.mark.parametrize("framework", [starlette, fastapi], ids=["starlette", "fastapi"])


# What the endpoint gets


@FRAMEWORKS
async def test_a_decorated_endpoint_finds_the_outcomes(framework: Callable[..., Any]) -> None:
    """The bare decorator is enough; the hook runs once."""
    called: list[str] = []
    router = collecting(called)

    @router.callback
    async def callbacks(request: Request) -> Response:
        return JSONResponse([repr(outcome) for outcome in request.state.call_outcomes])

    answer = await post(framework(callbacks))
    await router.drain()
    assert answer.status_code == 200
    assert answer.json() == [f"<Outcome CallDisconnected 486/560486 busy retryable (later) call:{LEG}>"]
    assert called == ["hook"]


async def test_a_body_without_a_length_is_read_as_far_as_the_limit() -> None:
    """Who sends it in chunks need not say how long it is."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * 10

    @OutcomeRouter().callback(max_body=20, auth=None)
    async def callbacks(request: Request) -> None: ...

    async with httpx.AsyncClient(transport=httpx.ASGITransport(starlette(callbacks)), base_url="http://app") as client:
        assert (await client.post("/cb/1", content=chunks())).status_code == 413


@FRAMEWORKS
async def test_the_decorator_takes_options(framework: Callable[..., Any]) -> None:
    """A catalog of the app's own, and limits."""
    catalog = Catalog.default().with_overrides({"entry": [{"code": 486, "subcode": 560486, "owner": "app"}]})

    @OutcomeRouter().callback(catalog=catalog, max_body=len(BODY), max_events=1)
    async def callbacks(request: Request) -> Response:
        return JSONResponse([outcome.owner for outcome in request.state.call_outcomes])

    app = framework(callbacks)
    assert (await post(app)).json() == ["app"]
    assert (await post(app, BODY + b" ")).status_code == 413
    assert (await post(app, b"[{},{}]")).status_code == 413


@FRAMEWORKS
@pytest.mark.parametrize("way", ["body", "json", "stream"])
async def test_the_endpoint_can_read_the_body_again(framework: Callable[..., Any], way: str) -> None:
    """Byte for byte, in each of the ways of a request."""

    @OutcomeRouter().callback
    async def callbacks(request: Request) -> Response:
        if way == "json":
            return JSONResponse(await request.json())
        content = await request.body() if way == "body" else b"".join([chunk async for chunk in request.stream()])
        return Response(content)

    answer = await post(framework(callbacks))
    assert (answer.json() if way == "json" else answer.content) == ([EVENT] if way == "json" else BODY)


async def test_starlette_may_name_its_request_as_it_likes() -> None:
    """Starlette passes the request by position, with or without an annotation."""

    @OutcomeRouter().callback
    async def callbacks(incoming) -> Response:  # type: ignore[no-untyped-def]
        return PlainTextResponse(incoming.state.call_outcomes[0].cause)

    assert (await post(starlette(callbacks))).text == "busy"


async def test_an_endpoint_under_a_careless_decorator_works() -> None:
    """A wrapper that hides the signature passes the request on all the same."""

    def careless(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        async def inner(*args: Any, **kwargs: Any) -> Any:
            return await endpoint(*args, **kwargs)

        return inner

    async def callbacks(request: Request) -> Response:
        return PlainTextResponse(request.state.call_outcomes[0].cause)

    assert (await post(starlette(OutcomeRouter().callback(careless(callbacks))))).text == "busy"


async def test_fastapi_fills_body_parameters_beside_the_outcomes() -> None:
    """FastAPI has read the body by then; it is classified all the same."""
    called: list[str] = []
    router = collecting(called)

    @router.callback
    async def callbacks(events: list[dict[str, Any]], request: Request) -> dict[str, Any]:
        return {"events": events, "causes": [outcome.cause for outcome in request.state.call_outcomes]}

    answer = await post(fastapi(callbacks))
    await router.drain()
    assert answer.json() == {"events": [EVENT], "causes": ["busy"]}
    assert called == ["hook"]


async def test_fastapi_needs_no_request_parameter() -> None:
    """Path, body, dependencies and keyword parameters stay what they were; the hooks run."""
    called: list[str] = []
    router = collecting(called)

    @router.callback
    async def callbacks(
        context: str, events: list[Item], who: Annotated[str, Depends(tenant)], verbose: bool = False
    ) -> list[Any]:
        return [context, [item.type for item in events], who, verbose]

    answer = await post(fastapi(callbacks))
    await router.drain()
    assert answer.json() == ["1", ["Microsoft.Communication.CallDisconnected"], "tenant-1", False]
    assert called == ["hook"]


async def test_fastapi_keeps_a_body_parameter_that_is_called_request() -> None:
    """What is a request is told by its annotation, not by its name."""

    @OutcomeRouter().callback
    async def callbacks(request: Annotated[list[Item], Body()]) -> list[str]:
        return [item.type for item in request]

    assert (await post(fastapi(callbacks))).json() == ["Microsoft.Communication.CallDisconnected"]


async def test_fastapi_fills_an_annotated_request() -> None:
    """The endpoint's own request parameter is found inside Annotated."""

    @OutcomeRouter().callback
    async def callbacks(incoming: Annotated[FastAPIRequest, "the callback"]) -> list[str]:
        return [outcome.cause for outcome in incoming.state.call_outcomes]

    assert (await post(fastapi(callbacks))).json() == ["busy"]


def test_the_added_parameter_stands_before_any_keywords() -> None:
    """The signature is the endpoint's, with a parameter for the request."""

    @OutcomeRouter().callback
    async def callbacks(context: str, *rest: Any, **more: Any) -> None: ...

    parameters = inspect.signature(callbacks).parameters
    assert list(parameters) == ["context", "rest", "ringback_request", "more"]
    assert parameters["ringback_request"].annotation is Request


MODULE = """
from __future__ import annotations
from typing import TYPE_CHECKING
import pydantic
import starlette.requests
from fastapi import BackgroundTasks
from ringback import OutcomeRouter
if TYPE_CHECKING:
    from somewhere import Missing

class Item(pydantic.BaseModel):
    type: str

router = OutcomeRouter(settle=0)

@router.callback
async def plain(events: list[Item]) -> list[str]:
    return [item.type for item in events]

@router.callback
async def asking(events: list[Item], incoming: starlette.requests.Request) -> list[str]:
    return [outcome.cause for outcome in incoming.state.call_outcomes]

@router.callback
async def later(incoming: starlette.requests.Request, further: Missing = None):
    return incoming.state.call_outcomes[0].cause
"""


@pytest.fixture
def module(tmp_path: Path) -> ModuleType:
    """A module of endpoints whose annotations are text."""
    path = tmp_path / "endpoints.py"
    path.write_text(MODULE)
    spec = importlib.util.spec_from_file_location("ringback_test_endpoints", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize(
    ("name", "answer"),
    [("plain", ["Microsoft.Communication.CallDisconnected"]), ("asking", ["busy"])],
)
async def test_annotations_that_are_text_are_read_in_the_module_of_the_endpoint(
    module: ModuleType, name: str, answer: list[str]
) -> None:
    """`from __future__ import annotations` changes nothing."""
    assert (await post(fastapi(getattr(module, name)))).json() == answer


async def test_an_annotation_that_cannot_be_resolved_is_left_as_text(module: ModuleType) -> None:
    """A name for the type checker alone does no harm where nobody reads it; the request is known by its name."""
    assert list(inspect.signature(module.later).parameters) == ["incoming", "further"]

    async def callbacks(request: Request) -> Response:
        return PlainTextResponse(await module.later(request))

    assert (await post(starlette(callbacks))).text == "busy"


@FRAMEWORKS
async def test_a_sync_endpoint_runs_in_a_worker_thread(framework: Callable[..., Any]) -> None:
    """It does not block the loop, and its log lines carry the ids of the call too."""
    seen: list[Any] = []

    @OutcomeRouter().callback
    def callbacks(request: Request) -> Response:
        seen.extend([threading.current_thread() is threading.main_thread(), get_contextvars()])
        return PlainTextResponse(request.state.call_outcomes[0].cause)

    assert (await post(framework(callbacks))).text == "busy"
    assert seen == [False, {"call_connection_id": LEG}]
    assert get_contextvars() == {}


def test_the_decorated_function_keeps_its_name_and_text() -> None:
    """Frameworks name routes and describe them by both."""

    @OutcomeRouter().callback
    async def callbacks(request: Request) -> Response:
        """Takes callbacks."""
        raise NotImplementedError

    assert (callbacks.__name__, callbacks.__doc__) == ("callbacks", "Takes callbacks.")


# What becomes of its answer


@FRAMEWORKS
async def test_a_response_keeps_all_it_has_and_the_hooks_follow_it(framework: Callable[..., Any]) -> None:
    """Status, headers, cookies and background task; the hooks come after the response was sent."""
    order: list[str] = []
    router = collecting(order)

    @router.callback
    async def callbacks(request: Request) -> Response:
        response = PlainTextResponse("done", 202, {"x-a": "1"}, background=BackgroundTask(order.append, "background"))
        response.set_cookie("a", "b")
        response.set_cookie("c", "d")
        return response

    inner = framework(callbacks)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def noting(message: Any) -> None:
            order.append(message["type"])
            await send(message)

        await inner(scope, receive, noting)

    answer = await post(app)
    await router.drain()
    assert (answer.status_code, answer.text, answer.headers["x-a"]) == (202, "done", "1")
    assert answer.headers.get_list("set-cookie") == [
        "a=b; Path=/; SameSite=lax",
        "c=d; Path=/; SameSite=lax",
    ]
    assert order == ["http.response.start", "http.response.body", "background", "hook"]


@FRAMEWORKS
async def test_one_response_object_may_answer_every_delivery(
    framework: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A constant of the app gathers nothing from one delivery to the next."""
    caplog.set_level("INFO", "ringback")
    called: list[str] = []
    router = collecting(called)
    ok = Response()

    @router.callback(auth=None)
    async def callbacks(request: Request) -> Response:
        return ok

    app = framework(callbacks)
    for leg in ("leg-1", "leg-2", "leg-3"):
        await post(app, BODY.replace(LEG.encode(), leg.encode()))
    await router.drain()
    assert called == ["hook"] * 3
    assert [line["event"] for line in lines(caplog)] == ["call.outcome"] * 3


async def test_background_tasks_of_fastapi_run_beside_a_response() -> None:
    """FastAPI adds them only to a response that has none."""
    order: list[str] = []
    router = collecting(order)

    @router.callback
    async def callbacks(tasks: BackgroundTasks) -> Response:
        tasks.add_task(order.append, "background")
        return PlainTextResponse("done")

    assert (await post(fastapi(callbacks))).text == "done"
    await router.drain()
    assert order == ["background", "hook"]


async def test_a_background_task_that_raises_costs_no_hook() -> None:
    """The exception is the app's; the call has ended all the same."""
    called: list[str] = []
    router = collecting(called)

    def fail() -> None:
        raise LookupError("the task's own")

    @router.callback
    async def callbacks(request: Request) -> Response:
        return Response(background=BackgroundTask(fail))

    with pytest.raises(LookupError, match="the task's own"):
        await post(starlette(callbacks))
    await router.drain()
    assert called == ["hook"]


async def test_a_value_of_fastapi_becomes_its_response() -> None:
    """Status, response model and background tasks of the route stay; the hooks run."""
    order: list[str] = []
    router = collecting(order)

    @router.callback
    async def callbacks(request: Request, tasks: BackgroundTasks) -> dict[str, Any]:
        tasks.add_task(order.append, "background")
        return {"type": "a", "hidden": 1}

    answer = await post(fastapi(callbacks, status_code=202, response_model=Item))
    await router.drain()
    assert (answer.status_code, answer.json()) == (202, {"type": "a"})
    assert sorted(order) == ["background", "hook"]


async def test_an_endpoint_that_raises_is_answered_by_the_framework_and_the_hooks_run() -> None:
    """The call has ended, whatever the endpoint makes of it."""
    called: list[str] = []
    router = collecting(called)

    @router.callback
    async def callbacks(request: Request) -> Response:
        raise HTTPException(409, "not now")

    answer = await post(fastapi(callbacks))
    await router.drain()
    assert (answer.status_code, answer.json()) == (409, {"detail": "not now"})
    assert called == ["hook"]
    assert get_contextvars() == {}


# What is no delivery


@FRAMEWORKS
@pytest.mark.parametrize(
    ("body", "encoding", "status", "title", "detail"),
    [
        pytest.param(b"", "identity", 400, "Malformed delivery", EMPTY, id="400"),
        pytest.param(b"[" * 21, "identity", 413, "Delivery too large", TOO_LARGE, id="413"),
        pytest.param(
            b"[]",
            "gzip",
            415,
            "Unsupported encoding",
            "content-encoding 'gzip' is not accepted; send plain JSON",
            id="415",
        ),
    ],
)
async def test_what_is_no_delivery_is_answered_without_the_endpoint(
    caplog: pytest.LogCaptureFixture,
    framework: Callable[..., Any],
    body: bytes,
    encoding: str,
    status: int,
    title: str,
    detail: str,
) -> None:
    """One problem+json response, one log line."""

    @OutcomeRouter().callback(auth=None, max_body=20)
    async def callbacks(request: Request) -> Response:
        raise NotImplementedError

    answer = await post(framework(callbacks), body, content_encoding=encoding)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json() == {"type": "about:blank", "title": title, "status": status, "detail": detail}
    assert lines(caplog) == [{"event": "delivery.rejected", "status": status, "reason": detail}]


@FRAMEWORKS
async def test_a_validation_of_event_grid_is_answered_without_the_endpoint(framework: Callable[..., Any]) -> None:
    """A POST is a POST; the handshake is known by its event."""

    @OutcomeRouter().callback
    async def callbacks(request: Request) -> Response:
        raise NotImplementedError

    kind = "Microsoft.EventGrid.SubscriptionValidationEvent"
    body = json.dumps([{"id": "1", "eventType": kind, "data": {"validationCode": "code-1"}}]).encode()
    answer = await post(framework(callbacks), body, aeg_event_type="SubscriptionValidation")
    assert (answer.status_code, answer.json()) == (200, {"validationResponse": "code-1"})


async def test_options_is_the_business_of_the_framework() -> None:
    """The decorator sees only the methods of its route."""

    @OutcomeRouter().callback
    async def callbacks(request: Request) -> Response:
        raise NotImplementedError

    answer = await post(starlette(callbacks), b"", "OPTIONS", webhook_request_origin="eventgrid.azure.net")
    assert (answer.status_code, "webhook-allowed-origin" in answer.headers) == (405, False)


async def test_a_sender_that_leaves_while_the_body_arrives_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The endpoint is not called and nothing is raised."""

    @OutcomeRouter().callback(auth=None)
    async def callbacks(request: Request) -> Response:
        raise NotImplementedError

    messages: list[Any] = [{"type": "http.request", "body": b"[", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    answer = await callbacks(Request({"type": "http", "method": "POST", "headers": []}, receive))
    assert (answer.status_code, answer.body) == (400, b"")
    reason = "the sender disconnected before the body was complete"
    assert lines(caplog) == [{"event": "delivery.interrupted", "reason": reason}]


async def test_a_sender_that_is_too_slow_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """The endpoint is not called; 0 sets no limit, a negative time is refused when decorating."""

    async def callbacks(request: Request) -> Response:
        raise NotImplementedError

    messages: list[Any] = [{"type": "http.request", "body": b"[", "more_body": True}]

    async def receive() -> Any:
        return messages.pop(0) if messages else await asyncio.Event().wait()

    decorated = OutcomeRouter().callback(auth=None, body_timeout=0.05)(callbacks)
    answer = await decorated(Request({"type": "http", "method": "POST", "headers": []}, receive))
    detail = "the body did not arrive within 0.05 seconds"
    problem = {"type": "about:blank", "title": "Delivery too slow", "status": 408, "detail": detail}
    assert (answer.status_code, json.loads(bytes(answer.body))) == (408, problem)
    assert lines(caplog) == [{"event": "delivery.rejected", "status": 408, "reason": detail}]
    with pytest.raises(ConfigurationError) as refused:
        OutcomeRouter().callback(body_timeout=-1)(callbacks)
    assert str(refused.value) == "body_timeout -1 is negative; give seconds, 0 for none"


# Who may call

SECRET = "a-shared-secret-of-this-app"
KIND = "Microsoft.EventGrid.SubscriptionValidationEvent"
VALIDATION = {"id": "1", "eventType": KIND, "data": {"validationCode": "code-1"}}
ADVICE = (
    "anyone who can reach the callback URL can send events; pass auth=CallbackTokenVerifier(audience=...), "
    "or auth=None to accept every sender"
)


class Check:
    """A check that always says the same."""

    def __init__(self, refusal: Refusal | None) -> None:
        self.refusal = refusal
        self.asked = 0

    async def __call__(self, _: Head) -> Refusal | None:
        self.asked += 1
        return self.refusal


class EventGrid(Check):
    """A check that lets handshakes of the subscription `calls` be answered."""

    def allows_handshake(self, head: Head) -> bool:
        return head.values("aeg-subscription-name") == ["calls"]


MISSING = Refusal("token_missing")


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


# The router


async def test_drain_does_not_wait_for_siblings() -> None:
    """At shutdown the hooks that are due run at once."""
    called: list[str] = []
    router = collecting(called)
    router.settle = 3600

    @router.callback
    async def callbacks(request: Request) -> Response:
        return Response()

    await post(starlette(callbacks))
    assert called == []
    await router.drain()
    assert called == ["hook"]


async def test_all_endpoints_of_a_router_share_what_it_knows_of_calls(caplog: pytest.LogCaptureFixture) -> None:
    """A call that is reported to two endpoints ends once."""
    called: list[str] = []
    router = collecting(called)

    @router.callback
    async def one(request: Request) -> Response:
        return Response()

    @router.callback
    async def two(request: Request) -> Response:
        return Response()

    await post(starlette(one))
    await post(starlette(two))
    await router.drain()
    assert called == ["hook"]


def test_a_negative_settle_time_is_refused_at_once() -> None:
    """The message names the setting, its value and the remedy."""
    with pytest.raises(ConfigurationError) as refused:
        OutcomeRouter(settle=-1)
    assert str(refused.value) == "settle -1 is negative; give seconds, 0 for none"


def test_a_limit_that_accepts_nothing_is_refused_when_decorating() -> None:
    """Not on the first call of the night."""
    with pytest.raises(ConfigurationError) as refused:

        @OutcomeRouter().callback(max_body=0)
        async def callbacks(request: Request) -> None: ...

    assert str(refused.value) == "max_body 0 accepts nothing; give a positive number"


class Endpoint:
    def __call__(self, request: Request) -> None: ...

    def __repr__(self) -> str:
        return "<endpoint>"


async def function(request: Request) -> None: ...


def generator(request: Request) -> Any:
    yield


async def async_generator(request: Request) -> Any:
    yield


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        pytest.param(
            "/api/callbacks",
            "callback '/api/callbacks' is no endpoint; decorate the function itself",
            id="path",
        ),
        pytest.param(
            functools.partial(function),
            f"callback {functools.partial(function)!r} is no endpoint; decorate the function itself",
            id="partial",
        ),
        pytest.param(Endpoint, f"callback {Endpoint!r} is no endpoint; decorate the function itself", id="class"),
        pytest.param(
            Endpoint(), "callback <endpoint> is no endpoint; decorate the function itself", id="callable object"
        ),
        pytest.param(
            generator, f"callback {__name__}.generator yields; decorate a function that returns", id="generator"
        ),
        pytest.param(
            async_generator,
            f"callback {__name__}.async_generator yields; decorate a function that returns",
            id="async generator",
        ),
    ],
)
def test_what_is_no_endpoint_is_refused_when_decorating(endpoint: Any, message: str) -> None:
    """The message names what was decorated and the remedy."""
    with pytest.raises(RegistrationError) as refused:
        OutcomeRouter().callback(endpoint)
    assert str(refused.value) == message


async def test_an_endpoint_called_without_a_request_says_so() -> None:
    """Only the framework's request has the body."""
    callback: Any = OutcomeRouter().callback(function)
    with pytest.raises(RegistrationError) as refused:
        await callback("no request")
    assert str(refused.value) == (
        f"callback {__name__}.function was called without a starlette Request; give it a parameter request: Request"
    )


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


class Site:
    """A decorated endpoint of a router with a store, and the order of what happens."""

    def __init__(self, store: Faulty, framework: Callable[..., Any], **options: Any) -> None:
        self.log: list[str] = []
        self.fails = False
        self.router = OutcomeRouter(**{"settle": 0.0, "store": store, **options})

        @self.router.on_retryable
        async def hook(outcome: Outcome) -> None:
            self.log.append("hook")

        @self.router.callback(auth=None)
        async def callbacks(request: Request) -> Response:
            self.log.append(f"endpoint, {(await store.stats()).ready} kept" if store.fault is None else "endpoint")
            if self.fails:
                raise HTTPException(500) if framework is fastapi else LookupError("the endpoint's own")
            return Response(status_code=204)

        self.app = framework(callbacks)

    async def post(self) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await client.post("/cb/1", content=BODY)


async def until(condition: Callable[[], object]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen within ten seconds")


async def settled(store: SQLiteStore) -> None:
    """Until something is done, and the store knows."""
    for _ in range(2000):
        if (await store.stats()).done:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it was not settled within ten seconds")


@FRAMEWORKS
async def test_an_outcome_is_in_the_store_before_the_endpoint_is_called(
    store: Faulty, framework: Callable[..., Any]
) -> None:
    """What it answers is an acknowledgement: nothing may be lost after it. The hook follows."""
    site = Site(store, framework, settle=0.1)
    async with site.router.lifespan():
        assert (await site.post()).status_code == 204
        await until(lambda: len(site.log) == 2)
    assert site.log == ["endpoint, 1 kept", "hook"]


@FRAMEWORKS
async def test_while_the_store_is_down_the_sender_is_asked_to_come_again(
    store: Faulty, caplog: pytest.LogCaptureFixture, framework: Callable[..., Any]
) -> None:
    """503 before the endpoint; the delivery is logged and counted when it comes again, once."""
    caplog.set_level("INFO", "ringback")
    site = Site(store, framework)
    async with site.router.lifespan():
        store.fault = StoreUnavailable("down")
        answer = await site.post()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json() == {
            "type": "about:blank",
            "title": "Service unavailable",
            "status": 503,
            "detail": "the store cannot be used now",
        }
        assert site.log == []
        assert {line["event"] for line in lines(caplog)} == {"store.unavailable"}
        store.fault = None
        assert (await site.post()).status_code == 204
        await until(lambda: "hook" in site.log)
    assert len(site.log) == 2
    assert [line["event"] for line in lines(caplog) if line["event"] != "store.unavailable"] == ["call.outcome"]


@FRAMEWORKS
async def test_a_redelivery_after_the_endpoints_own_error_calls_no_hook(
    store: Faulty, caplog: pytest.LogCaptureFixture, framework: Callable[..., Any]
) -> None:
    """The outcome was kept the first time; the endpoint is called again."""
    caplog.set_level("INFO", "ringback")
    site = Site(store, framework)
    async with site.router.lifespan():
        site.fails = True
        assert (await site.post()).status_code == 500
        await settled(store)
        site.fails = False
        assert (await site.post()).status_code == 204
        assert (await store.stats()).done == 1
    assert [each.partition(",")[0] for each in site.log].count("endpoint") == 2
    assert site.log.count("hook") == 1
    assert [line["event"] for line in lines(caplog)] == ["call.outcome", "call.outcome_duplicate", "call.outcome"]


async def test_outcomes_may_be_kept_in_memory_while_the_store_is_down(
    store: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    """on_store_failure="inline": the endpoint and the hooks are called all the same, and the log says so."""
    site = Site(store, starlette, on_store_failure="inline")
    store.fault = StoreUnavailable("down")
    async with site.router.lifespan():
        assert (await site.post()).status_code == 204
        await until(lambda: "hook" in site.log)
    assert sorted(site.log) == ["endpoint", "hook"]
    assert {"event": "store.bypassed", "count": 1} in lines(caplog)


async def test_start_and_drain_do_for_an_app_without_a_lifespan(store: Faulty) -> None:
    """What an earlier process left behind is worked on from the start."""
    site = Site(Faulty(store.path), starlette)
    site.router.dispatcher._worker = False
    await site.router.start()
    assert (await site.post()).status_code == 204
    await site.router.drain()
    site = Site(store, starlette)
    await site.router.start()
    await until(lambda: site.log)
    await site.router.drain()
    assert site.log == ["hook"]


async def test_a_router_that_is_never_started_is_noticed_once(store: Faulty, caplog: pytest.LogCaptureFixture) -> None:
    """The hooks run all the same, from the first delivery on."""
    site = Site(store, starlette)
    for _ in range(2):
        assert (await site.post()).status_code == 204
    await until(lambda: "hook" in site.log)
    await site.router.drain()
    assert [line["event"] for line in lines(caplog)].count("lifespan.missing") == 1


async def test_a_store_that_cannot_work_is_raised_at_the_start(store: Faulty) -> None:
    """The framework tells the server, with the message."""
    site = Site(store, starlette)
    store.fault = StoreError("ringback.db is of a newer release; install that")
    with pytest.raises(StoreError, match="newer release"):
        async with site.router.lifespan():
            raise AssertionError("it started")


async def test_the_lifespan_of_a_router_is_one_for_frameworks(store: Faulty) -> None:
    """FastAPI(lifespan=router.lifespan) and Starlette(lifespan=...) work as they are."""
    for framework in (FastAPI, Starlette):
        site = Site(Faulty(store.path.with_name(f"{framework.__name__}.db")), starlette)
        app: Any = framework(lifespan=site.router.lifespan)
        messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        sent: list[Any] = []

        async def receive(messages: list[dict[str, str]] = messages) -> dict[str, str]:
            return messages.pop(0)

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message["type"])

        await app({"type": "lifespan", "state": {}, "app": app}, receive, send)
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_start_without_a_store_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    """Of what a crash loses."""
    async with collecting([]).lifespan():
        pass
    assert [line["event"] for line in lines(caplog)] == ["hooks.volatile"]
