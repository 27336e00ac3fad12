"""The decorator around one callback endpoint, on Starlette and on FastAPI."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import threading
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import pytest
from fastapi import BackgroundTasks, Body, Depends, HTTPException
from fastapi import Request as FastAPIRequest
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from structlog.contextvars import get_contextvars

from endpoints import (
    BODY,
    EMPTY,
    EVENT,
    FRAMEWORKS,
    LEG,
    TOO_LARGE,
    Item,
    collecting,
    fastapi,
    lines,
    post,
    starlette,
    tenant,
)
from ringback import (
    Catalog,
    ConfigurationError,
    OutcomeRouter,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path
    from types import ModuleType


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

    @OutcomeRouter(catalog=catalog).callback(max_body=len(BODY), max_events=1)
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
    """Status, headers, cookies and background task."""
    order: list[str] = []
    router = collecting(order, settle=3600)

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
    # Nobody has started the router, which the first outcome finds out.
    told = [line["event"] for line in lines(caplog)]
    assert told == ["lifespan.missing", *["call.outcome"] * 3, *["call.ended"] * 3]


async def test_background_tasks_of_fastapi_run_beside_a_response() -> None:
    """FastAPI adds them only to a response that has none."""
    order: list[str] = []
    router = collecting(order, settle=3600)

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
