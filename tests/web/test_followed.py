"""An accepted outcome reaches its hook once, whatever becomes of the response: the hook hangs on the request alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi import Request as FastAPIRequest
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from endpoints import BODY, LEG, Item, lines
from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter, call_outcomes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Endpoint = Callable[..., Any]

PATH = "/cb/{context}"


class Site:
    """A router whose hook tells that it was called, and the door in front of an endpoint."""

    def __init__(self, store: str, door: str, settle: float = 0.01) -> None:
        self.router = OutcomeRouter(settle=settle, store=store)
        self.hooked = asyncio.Event()
        self.calls = 0
        self.seen: list[Any] = []
        self._decorates = door == "decorator"

        @self.router.on_retryable
        async def again(outcome: Outcome) -> None:
            self.calls += 1
            self.hooked.set()

    def callback(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint with the decorator, if that is the door."""
        return self.router.callback(auth=None)(endpoint) if self._decorates else endpoint

    def behind(self, app: Any) -> Any:
        """The app with the middleware, if that is the door."""
        return app if self._decorates else CallOutcomeMiddleware(app, router=self.router, path=PATH, auth=None)

    def notes(self, request: Request) -> None:
        self.seen.append([outcome.cause for outcome in call_outcomes(request)])


def starlette(endpoint: Endpoint, **more: Any) -> Starlette:
    return Starlette(routes=[Route(PATH, endpoint, methods=["POST"])], **more)


def fastapi(endpoint: Endpoint, *, route_class: type[APIRoute] = APIRoute, **more: Any) -> FastAPI:
    app, router = FastAPI(), APIRouter(route_class=route_class)
    router.post(PATH, **more)(endpoint)
    app.include_router(router)
    return app


# What becomes of the response, by name: each gives an app.


def plain(site: Site) -> Any:
    async def callbacks(request: Request) -> Response:
        site.notes(request)
        return Response()

    return starlette(site.callback(callbacks))


def rebuilt(response: Response) -> Response:
    return PlainTextResponse(bytes(response.body), response.status_code)


def outer_decorator(site: Site) -> Any:
    async def callbacks(request: Request) -> Response:
        site.notes(request)
        return PlainTextResponse("inner")

    inner = site.callback(callbacks)

    async def outer(request: Request) -> Response:
        return rebuilt(await inner(request))

    return starlette(outer)


def outer_decorator_of_fastapi(site: Site) -> Any:
    async def callbacks(request: FastAPIRequest) -> JSONResponse:
        site.notes(request)
        return JSONResponse({"inner": True})

    inner = site.callback(callbacks)

    async def outer(request: FastAPIRequest) -> dict[str, Any]:
        return {"outer": bytes((await inner(request)).body).decode()}

    return fastapi(outer)


def custom_route(site: Site) -> Any:
    class Rebuilding(APIRoute):
        def get_route_handler(self) -> Callable[[FastAPIRequest], Awaitable[Response]]:
            handler = super().get_route_handler()

            async def rebuilding(request: FastAPIRequest) -> Response:
                return rebuilt(await handler(request))

            return rebuilding

    @site.callback
    async def callbacks(request: FastAPIRequest) -> Response:
        site.notes(request)
        return PlainTextResponse("inner")

    return fastapi(callbacks, route_class=Rebuilding)


class Ours(Request):
    """An app's own request, which is made in another way than Starlette's, and carries something."""

    def __init__(self, request: Request, *, tenant: str) -> None:
        super().__init__(request.scope, request.receive)
        self.tenant = tenant
        self.notes: list[str] = []


def own_request(site: Site) -> Any:
    async def callbacks(request: Ours) -> Response:
        site.notes(request)
        request.notes.append("endpoint")
        return PlainTextResponse(f"{request.tenant} {len(await request.body())}")

    inner = site.callback(callbacks)

    async def outer(request: Request) -> Response:
        ours = Ours(request, tenant="tenant-1")
        response = await inner(ours)
        assert (ours.notes, bytes(response.body)) == (["endpoint"], f"tenant-1 {len(BODY)}".encode())
        return response

    return starlette(outer)


def own_request_of_fastapi(site: Site) -> Any:
    class OursOfFastAPI(FastAPIRequest):
        def __init__(self, request: FastAPIRequest, tenant: str) -> None:
            super().__init__(request.scope, request.receive)
            self.tenant = tenant

    class Making(APIRoute):
        def get_route_handler(self) -> Callable[[FastAPIRequest], Awaitable[Response]]:
            handler = super().get_route_handler()

            async def making(request: FastAPIRequest) -> Response:
                return await handler(OursOfFastAPI(request, "tenant-1"))

            return making

    @site.callback
    async def callbacks(request: FastAPIRequest, events: list[Item]) -> str:
        site.notes(request)
        assert (await request.body(), len(events)) == (BODY, 1)
        return request.tenant  # type: ignore[attr-defined]

    return fastapi(callbacks, route_class=Making)


def dependency_that_raises_at_its_end(site: Site) -> Any:
    async def dependency() -> AsyncIterator[None]:
        yield
        raise LookupError("the dependency's own")

    @site.callback
    async def callbacks(request: FastAPIRequest, given: None = Depends(dependency)) -> dict[str, bool]:
        site.notes(request)
        return {"inner": True}

    return fastapi(callbacks)


def response_model_that_does_not_fit(site: Site) -> Any:
    @site.callback
    async def callbacks(request: FastAPIRequest) -> Any:
        site.notes(request)
        return {"no": "item"}

    return fastapi(callbacks, response_model=Item)


def endpoint_that_raises(site: Site) -> Any:
    async def callbacks(request: Request) -> Response:
        site.notes(request)
        raise LookupError("the endpoint's own")

    return starlette(site.callback(callbacks))


def exception_handler(site: Site) -> Any:
    async def callbacks(request: Request) -> Response:
        site.notes(request)
        raise LookupError("the endpoint's own")

    async def handles(request: Request, error: Exception) -> Response:
        return PlainTextResponse("handled", 418)

    return starlette(site.callback(callbacks), exception_handlers={LookupError: handles})


def response_that_raises(site: Site) -> Any:
    class Broken(Response):
        async def __call__(self, *_: Any) -> None:
            raise LookupError("the response's own")

    async def callbacks(request: Request) -> Response:
        site.notes(request)
        return Broken()

    return starlette(site.callback(callbacks))


def background_task(site: Site) -> Any:
    async def callbacks(request: Request) -> Response:
        site.notes(request)
        return Response(background=BackgroundTask(site.hooked.wait))

    return starlette(site.callback(callbacks))


def stream_that_waits(site: Site) -> Any:
    async def content() -> AsyncIterator[bytes]:
        yield b"a part"
        await site.hooked.wait()

    async def callbacks(request: Request) -> Response:
        site.notes(request)
        return StreamingResponse(content())

    return starlette(site.callback(callbacks))


def endpoint_that_waits(site: Site) -> Any:
    async def callbacks(request: Request) -> Response:
        site.notes(request)
        await site.hooked.wait()
        return Response()

    return starlette(site.callback(callbacks))


def inner_middleware(site: Site) -> Any:
    """Starlette's own, which runs the endpoint in a task of its own and sends another response."""

    async def rebuilding(request: Request, call_next: Any) -> Response:
        response = await call_next(request)
        return PlainTextResponse(b"".join([part async for part in response.body_iterator]))

    app = plain(site)
    app.add_middleware(BaseHTTPMiddleware, dispatch=rebuilding)
    return app


CASES = [
    plain,
    outer_decorator,
    outer_decorator_of_fastapi,
    custom_route,
    own_request,
    own_request_of_fastapi,
    dependency_that_raises_at_its_end,
    response_model_that_does_not_fit,
    endpoint_that_raises,
    exception_handler,
    response_that_raises,
    background_task,
    stream_that_waits,
    endpoint_that_waits,
    inner_middleware,
]


@pytest.fixture(params=["middleware", "decorator"])
def door(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=["memory", "sqlite"])
def site(request: pytest.FixtureRequest, tmp_path: Path, door: str) -> Site:
    return Site("memory" if request.param == "memory" else f"sqlite:///{tmp_path}/ringback.db", door)


class Gone(OSError):
    """What a server raises for a message to a sender that has left."""


class Connection:
    """A sender's: the body, then nothing until the sender leaves."""

    def __init__(self, leaves_at: str | None = None, body: bytes = BODY) -> None:
        self._messages: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]
        self._leaves_at = leaves_at
        self._left = asyncio.Event()

    async def receive(self) -> Any:
        if self._messages:
            return self._messages.pop()
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == self._leaves_at:
            self._left.set()
            raise Gone


async def asked(app: Any, connection: Connection) -> None:
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/cb/1",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())],
    }
    await app(scope, connection.receive, connection.send)


async def told_once(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The hook and the line, of an outcome that the endpoint had."""
    async with asyncio.timeout(20):
        await site.hooked.wait()
    await site.router.drain()
    assert (site.calls, site.seen) == (1, [["busy"]])
    assert [line["event"] for line in lines(caplog)].count("call.outcome") == 1


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_whatever_becomes_of_the_response(
    site: Site, case: Callable[[Site], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """With the decorator as with the middleware, in memory as on a disk."""
    caplog.set_level("INFO", "ringback")
    async with site.router.lifespan():
        with contextlib.suppress(Exception):
            await asked(site.behind(case(site)), Connection())
        await told_once(site, caplog)


@pytest.mark.parametrize("leaves_at", ["http.response.start", "http.response.body"])
@pytest.mark.parametrize("case", [plain, stream_that_waits, background_task], ids=lambda case: case.__name__)
async def test_also_where_the_sender_has_left(
    site: Site, case: Callable[[Site], Any], leaves_at: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody reads the response, and the app may hear of that as an exception."""
    caplog.set_level("INFO", "ringback")
    async with site.router.lifespan():
        with contextlib.suppress(Exception):
            await asked(site.behind(case(site)), Connection(leaves_at))
        await told_once(site, caplog)


async def test_also_where_the_endpoint_is_cancelled(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """As servers and time-outs do."""
    caplog.set_level("INFO", "ringback")
    reached = asyncio.Event()

    async def callbacks(request: Request) -> Response:
        site.notes(request)
        reached.set()
        await asyncio.Event().wait()
        raise NotImplementedError

    async with site.router.lifespan():
        task = asyncio.create_task(asked(site.behind(starlette(site.callback(callbacks))), Connection()))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await told_once(site, caplog)


async def test_also_where_the_app_stops_meanwhile(door: str, caplog: pytest.LogCaptureFixture) -> None:
    """In memory there is no next start: what waits is called at the stop, while the endpoint still runs."""
    caplog.set_level("INFO", "ringback")
    site = Site("memory", door, settle=3600)
    reached = asyncio.Event()

    async def callbacks(request: Request) -> Response:
        site.notes(request)
        reached.set()
        await asyncio.Event().wait()
        raise NotImplementedError

    task = asyncio.create_task(asked(site.behind(starlette(site.callback(callbacks))), Connection()))
    await reached.wait()
    await site.router.drain()
    await told_once(site, caplog)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


PLAYED = {
    "id": "1f0e5c1a-0000-4000-8000-000000000004",
    "type": "Microsoft.Communication.PlayFailed",
    "data": {"callConnectionId": LEG, "resultInformation": {"code": 400, "subCode": 8536, "message": ""}},
}
START = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"a part", "more_body": True}


@pytest.mark.parametrize(
    "last", [{"type": "http.response.body"}, {"type": "http.response.pathsend", "path": "/x"}], ids=["body", "path"]
)
@pytest.mark.parametrize("store", ["memory", "sqlite:///{}/ringback.db"], ids=["memory", "sqlite"])
async def test_the_hook_of_an_operation_follows_the_last_byte(store: str, last: dict[str, str], tmp_path: Path) -> None:
    """Not the first, and not what the app does afterwards: the settle time, an hour here, is for ends of calls."""
    router, hooked = OutcomeRouter(settle=3600, store=store.format(tmp_path)), asyncio.Event()

    @router.on(event="PlayFailed")
    async def played(outcome: Outcome) -> None:
        hooked.set()

    waiting: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in (START, PART):
            await send(message)
        waiting.append((await router.engine.store.stats()).ready)
        assert not hooked.is_set()
        await send(last)
        await hooked.wait()

    async with router.lifespan():
        door = CallOutcomeMiddleware(app, router=router, path=PATH, auth=None)
        async with asyncio.timeout(20):
            await asked(door, Connection(body=json.dumps([PLAYED]).encode()))
    assert waiting == [1]
