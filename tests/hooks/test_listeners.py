"""Listeners: told of every accepted delivery while it is handled, by the middleware and by the decorator."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from structlog.contextvars import get_contextvars

from accepting import received_of
from records import line_in
from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter, RegistrationError, StoreUnavailable
from ringback.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence
    from pathlib import Path

    from starlette.requests import Request

    from ringback import Event
    from ringback.receiving.intake import Received

LEG = "7ab5c001-0000-4000-8000-000000000001"


def event(name: str, **result: int) -> dict[str, Any]:
    data: dict[str, Any] = {"callConnectionId": LEG}
    if result:
        data["resultInformation"] = {**result, "message": ""}
    return {"id": f"{name}-1", "source": "calling", "type": f"Microsoft.Communication.{name}", "data": data}


BUSY = event("CallDisconnected", code=486, subCode=560486)
CONNECTED = event("CallConnected")


class Heard:
    """What a listener was told, in short, among what else happened."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    def __call__(self, events: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        self.log.append(([each.name for each in events], [each.cause for each in outcomes]))


def middleware(router: OutcomeRouter, route: Callable[[Request], Any]) -> Starlette:
    app = Starlette(routes=[Route("/cb", route, methods=["POST"])])
    app.add_middleware(CallOutcomeMiddleware, router=router, path="/cb", auth=None)
    return app


def decorator(router: OutcomeRouter, route: Callable[[Request], Any]) -> Starlette:
    return Starlette(routes=[Route("/cb", router.callback(auth=None)(route), methods=["POST"])])


async def post(app: Starlette, *events: dict[str, Any], body: bytes | None = None) -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://app") as client:
        response = await client.post("/cb", content=json.dumps(events).encode() if body is None else body)
    return response.status_code


def received(*events: dict[str, Any]) -> Received:
    return received_of(json.dumps(events))


@pytest.mark.parametrize("wrapped", [middleware, decorator])
async def test_a_listener_hears_of_a_delivery_before_the_route(wrapped: Callable[..., Starlette]) -> None:
    """Once, with every event in order and the outcomes of those that have one."""
    log: list[Any] = []
    router = OutcomeRouter()
    listener = Heard(log)
    assert router.listen(listener) is listener

    async def route(request: Request) -> Response:
        log.append("route")
        return Response()

    assert await post(wrapped(router, route), CONNECTED, BUSY) == 200
    assert log == [(["CallConnected", "CallDisconnected"], ["busy"]), "route"]


@pytest.mark.parametrize("wrapped", [middleware, decorator])
async def test_what_a_listener_logs_carries_the_ids_of_the_call(wrapped: Callable[..., Starlette]) -> None:
    """As what the route logs does; and nothing is bound once the request is over."""
    bound: list[dict[str, Any]] = []
    router = OutcomeRouter()

    @router.listen
    def look(events: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        bound.append(get_contextvars())

    async def route(request: Request) -> Response:
        bound.append(get_contextvars())
        return Response()

    assert await post(wrapped(router, route), BUSY) == 200
    assert (bound, get_contextvars()) == ([{"call_connection_id": LEG}, {"call_connection_id": LEG}], {})


@pytest.mark.parametrize("wrapped", [middleware, decorator])
async def test_a_delivery_is_persisted_before_it_is_heard_of(wrapped: Callable[..., Starlette], tmp_path: Path) -> None:
    """What a listener sets going may rely on the store."""
    log: list[Any] = []

    class Store(SQLiteStore):
        async def put(self, items: Any) -> Any:
            log.append("put")
            return await super().put(items)

    store = Store(tmp_path / "ringback.db")
    router = OutcomeRouter(store=store)
    router.listen(Heard(log))

    async def route(request: Request) -> Response:
        return Response()

    assert await post(wrapped(router, route), BUSY) == 200
    assert log == ["put", (["CallDisconnected"], ["busy"])]
    await store.close()


@pytest.mark.parametrize("wrapped", [middleware, decorator])
async def test_nobody_hears_of_a_delivery_that_was_not_accepted(
    wrapped: Callable[..., Starlette], tmp_path: Path
) -> None:
    """Neither of one that is none, nor of one that the store could not keep: that one comes again."""
    log: list[Any] = []

    class Away(SQLiteStore):
        async def put(self, items: Any) -> Any:  # noqa: ARG002 - the store's signature
            raise StoreUnavailable("away")

    store = Away(tmp_path / "ringback.db")
    router = OutcomeRouter(store=store)
    router.listen(Heard(log))

    async def route(request: Request) -> Response:
        raise AssertionError

    app = wrapped(router, route)
    assert await post(app, body=b"no json") == 400
    assert await post(app, BUSY) == 503
    assert log == []
    await store.close()


@pytest.mark.parametrize("wrapped", [middleware, decorator])
async def test_a_listener_that_raises_is_logged_and_nothing_else(
    wrapped: Callable[..., Starlette], caplog: pytest.LogCaptureFixture
) -> None:
    """The others hear of the delivery, the route is called, and a number in the exception stays private."""
    log: list[Any] = []
    router = OutcomeRouter()

    @router.listen
    def raising(events: object, outcomes: object) -> None:
        raise ValueError("no line to +15550100123")

    router.listen(Heard(log))

    async def route(request: Request) -> Response:
        return Response(status_code=204)

    app = wrapped(router, route)
    caplog.set_level("ERROR", "ringback")
    assert await post(app, CONNECTED) == 204
    assert log == [(["CallConnected"], [])]
    (record,) = caplog.records
    line = line_in(record)
    traceback = line.pop("exception")
    assert "in raising\n" in traceback
    assert "5550100" not in traceback
    assert line == {
        "event": "listener.failed",
        "listener": f"{__name__}.{raising.__qualname__}",
        "error": "ValueError: no line to [phone]",
    }


def test_listeners_of_included_routers_hear_once() -> None:
    """In the order of registration, also where a router is included by two ways; what is heard says who raised."""
    log: list[Any] = []
    inner, left, outer = OutcomeRouter(), OutcomeRouter(), OutcomeRouter()
    left.include(inner)
    outer.include(left)
    outer.include(inner)
    error = ValueError()

    @inner.listen
    def raising(events: object, outcomes: object) -> None:
        raise error

    inner.listen(Heard(log))
    outer.listen(Heard(log))
    assert outer.notify(received(BUSY)) == ((f"{__name__}.{raising.__qualname__}", error),)
    assert log == [(["CallDisconnected"], ["busy"])] * 2


def _raising(error: BaseException) -> Callable[..., Any]:
    def listener(events: object, outcomes: object) -> None:
        raise error

    return listener


@pytest.mark.parametrize(
    ("listener", "told"),
    [
        *(
            (_raising(error), f"RuntimeError('the function raised {type(error).__name__}')")
            for error in (StopIteration(), StopAsyncIteration(), SystemExit(), KeyboardInterrupt(), GeneratorExit())
        ),
        (
            lambda events, outcomes: _coroutine(events, outcomes),
            "TypeError('the function returned an awaitable where nobody awaits it; return the value itself')",
        ),
        (
            lambda events, outcomes: _generator(events, outcomes),
            "TypeError('the function returned a generator, and nothing in it has run; return the value itself')",
        ),
    ],
)
def test_whatever_a_listener_does_is_told_and_nothing_else(listener: Callable[..., Any], told: str) -> None:
    """It ends neither the request nor the server, and the others hear of the delivery."""
    log: list[Any] = []
    router = OutcomeRouter()
    router.listen(listener)
    router.listen(Heard(log))
    assert [repr(error) for _, error in router.notify(received(BUSY))] == [told]
    assert len(log) == 1


def test_a_listener_may_be_taken_back() -> None:
    """Also by itself, while it is called; one that is not registered is refused."""
    log: list[Any] = []
    router = OutcomeRouter()

    def once(events: object, outcomes: object) -> None:
        log.append("once")
        router.unlisten(once)

    router.listen(once)
    assert (router.notify(received(BUSY)), router.notify(received(BUSY))) == ((), ())
    assert (log, router.roster.listeners) == (["once"], ())
    with pytest.raises(RegistrationError, match="is not registered; pass it to listen"):
        router.unlisten(once)


async def _coroutine(events: object, outcomes: object) -> None: ...


def _generator(events: object, outcomes: object) -> Generator[None]:
    yield


async def _async_generator(events: object, outcomes: object) -> AsyncGenerator[None]:
    yield


class _Async:
    async def __call__(self, events: object, outcomes: object) -> None: ...


@pytest.mark.parametrize(
    ("listener", "reason"),
    [
        pytest.param(7, "listener 7 is not callable; register a function (events, outcomes)", id="no function"),
        pytest.param(_coroutine, "is async; register a function that returns", id="async"),
        pytest.param(_Async(), "is async; register a function that returns", id="async callable"),
        pytest.param(functools.partial(_Async()), "is async; register a function that returns", id="async partial"),
        pytest.param(_generator, "yields; register a function that returns", id="generator"),
        pytest.param(_async_generator, "yields; register a function that returns", id="async generator"),
        pytest.param(lambda outcome: None, "cannot be called as (events, outcomes)", id="one argument"),
    ],
)
def test_a_listener_that_cannot_be_called_is_refused(listener: Any, reason: str) -> None:
    """When it is registered, with the remedy."""
    with pytest.raises(RegistrationError) as refused:
        OutcomeRouter().listen(listener)
    assert reason in str(refused.value)


def test_a_listener_is_registered_once() -> None:
    """The same one twice is a mistake."""
    router = OutcomeRouter()
    listener = router.listen(Heard([]))
    with pytest.raises(RegistrationError, match="already registered; remove one of the two"):
        router.listen(listener)
