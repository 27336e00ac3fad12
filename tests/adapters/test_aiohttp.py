"""What the adapter for aiohttp.web has beside the common behaviour: limits, streams, sub-apps, classes and its log."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer, make_mocked_request

from ringback import CallbackHandler, OutcomeRouter, RegistrationError, SharedSecret
from ringback.adapters.aiohttp import OUTCOMES, callback, callback_middleware, cleanup_context

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
SECRET = "a-shared-secret-of-this-app"
EVENT = {
    "type": "Microsoft.Communication.CallDisconnected",
    "data": {"callConnectionId": LEG, "resultInformation": {"code": 486, "subCode": 560486}},
}
DELIVERY = json.dumps([EVENT]).encode()


def handler(**settings: Any) -> CallbackHandler:
    return CallbackHandler(OutcomeRouter(), **{"auth": None, "max_body": 1000} | settings)


async def causes(request: web.Request) -> web.Response:
    return web.json_response([outcome.cause for outcome in request.get(OUTCOMES, ())])


@pytest.fixture
async def served() -> AsyncGenerator[Callable[[web.Application], Any]]:
    """A function that serves an app over a socket until the test ends; gives its client."""
    opened: list[Any] = []

    async def serve(app: web.Application) -> ClientSession:
        server = TestServer(app)
        await server.start_server()
        client = ClientSession(server.make_url("/"))
        opened.extend((client, server))
        return client

    yield serve
    for each in opened:
        await each.close()


def guarded(made: CallbackHandler, route: Any = causes, path: str = "/cb", **settings: Any) -> web.Application:
    """An app whose one route takes POSTs alone, behind the middleware."""
    app = web.Application(middlewares=[callback_middleware(made, path)], **settings)
    app.cleanup_ctx.append(cleanup_context(made))
    app.router.add_post(path, route)
    return app


async def chunks(*parts: bytes) -> AsyncGenerator[bytes]:
    for part in parts:
        yield part


async def test_a_body_in_chunks_is_read_whole_and_the_route_reads_it_again_in_any_way(served: Any) -> None:
    """As bytes, as JSON, and as a stream that another middleware has touched before."""

    async def route(request: web.Request) -> web.Response:
        streamed = b"".join([part async for part in request.content.iter_chunked(7)])
        return web.json_response([streamed.decode(), request.can_read_body])

    @web.middleware
    async def touches(request: web.Request, handler: Any) -> Any:
        assert request.content.at_eof() is False
        return await handler(request)

    app = guarded(handler(), route)
    app.middlewares.insert(0, touches)
    app.router.add_post("/elsewhere", route)
    client = await served(app)
    async with client.post("/cb", data=chunks(DELIVERY[:9], DELIVERY[9:])) as answer:
        assert await answer.json() == [DELIVERY.decode(), False]


async def test_the_route_may_read_the_body_as_json(served: Any) -> None:
    """`request.json()`, twice."""

    async def route(request: web.Request) -> web.Response:
        return web.json_response([await request.json(), await request.json(), await request.read() == DELIVERY])

    client = await served(guarded(handler(), route))
    async with client.post("/cb", data=DELIVERY) as answer:
        assert await answer.json() == [[EVENT], [EVENT], True]


@pytest.mark.parametrize("size", [1000, 1001, 5000])
async def test_no_more_than_the_limit_is_read_of_a_body_without_a_length(served: Any, size: int) -> None:
    """What fits is read whole; what does not is problem details."""
    client = await served(guarded(handler()))
    async with client.post("/cb", data=chunks(DELIVERY, b" " * (size - len(DELIVERY)))) as answer:
        assert (answer.status, answer.content_type) == (
            (200, "application/json") if size == 1000 else (413, "application/problem+json")
        )


async def test_aiohttps_own_limit_is_answered_alike(served: Any) -> None:
    """As problem details, not as its text; no limit of its own leaves Ringback's."""
    for limit, status in ((10, 413), (0, 200)):
        client = await served(guarded(handler(), client_max_size=limit))
        async with client.post("/cb", data=DELIVERY) as answer:
            assert answer.status == status
            assert answer.content_type == ("application/problem+json" if status == 413 else "application/json")


async def test_a_body_that_does_not_come_is_answered_in_time(served: Any) -> None:
    """With 408, after `body_timeout` seconds."""

    async def endless() -> AsyncGenerator[bytes]:
        yield b"["
        await asyncio.Event().wait()

    client = await served(guarded(handler(body_timeout=0.05)))
    async with client.post("/cb", data=endless()) as answer:
        assert (answer.status, answer.content_type) == (408, "application/problem+json")


async def test_a_body_that_is_encoded_wrongly_is_no_fault_of_the_app(served: Any) -> None:
    """aiohttp unpacks bodies by itself, and raises where it cannot."""
    client = await served(guarded(handler()))
    async with client.post("/cb", data=b"no gzip", headers={"content-encoding": "gzip"}) as answer:
        assert (answer.status, answer.content_type) == (400, "application/problem+json")
        assert (await answer.json())["detail"] == "the body breaks off or is encoded wrongly; send it whole"


@pytest.mark.parametrize("cancels", [False, True])
async def test_a_sender_that_leaves_in_the_body_is_none(caplog: pytest.LogCaptureFixture, cancels: bool) -> None:
    """Nobody waits for the answer, and the route is not called, whether or not aiohttp cancels for it."""
    reached: list[object] = []

    async def route(request: web.Request) -> web.Response:
        reached.append(request)
        return web.Response()

    answered = asyncio.Event()

    @web.middleware
    async def watches(request: web.Request, handler: Any) -> Any:
        try:
            return await handler(request)
        finally:
            answered.set()

    app = guarded(handler(), route)
    app.middlewares.insert(0, watches)
    runner = web.AppRunner(app, handler_cancellation=cancels)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _, writer = await asyncio.open_connection(*runner.addresses[0])
    writer.write(b"POST /cb HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n[")
    await writer.drain()
    writer.close()
    await answered.wait()
    assert reached == []
    assert [each.levelname for each in caplog.records if each.name == "aiohttp.server"] == []
    await runner.cleanup()


async def test_the_middleware_answers_the_handshake_of_a_route_for_posts_alone(served: Any) -> None:
    """aiohttp itself would answer the OPTIONS request with 405, as it answers the others."""
    client = await served(guarded(handler()))
    asked = {"WebHook-Request-Origin": "eventgrid.azure.net"}
    async with client.options("/cb", headers=asked) as answer:
        assert (answer.status, answer.headers["webhook-allowed-origin"]) == (200, "eventgrid.azure.net")
    async with client.options("/cb") as answer:
        assert answer.status == 405


async def test_a_sub_app_guards_its_paths_without_its_prefix(served: Any) -> None:
    """Wherever it is mounted; of an app in an app in a domain, the prefix is that of the last."""
    inner = guarded(handler(auth=SharedSecret(SECRET)))
    middle = web.Application()
    middle.add_subapp("/inner", inner)
    outer = web.Application()
    outer.router.add_get("/health", causes)
    outer.add_subapp("/middle", middle)
    domain = guarded(handler(auth=SharedSecret(SECRET)))
    outer.add_domain("calls.example", domain)
    client = await served(outer)
    # Hosts without ports: early releases of aiohttp compare nothing else with a domain.
    for path, headers in (("/middle/inner/cb", {"host": "localhost"}), ("/cb", {"host": "calls.example"})):
        async with client.post(path, data=DELIVERY, headers=headers) as answer:
            assert answer.status == 401
        async with client.post(f"{path}?secret={SECRET}", data=DELIVERY, headers=headers) as answer:
            assert await answer.json() == ["busy"]


async def test_the_log_says_which_path_nearly_fits(served: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Once for a status: a prefix that the template lacks, and a spelling that the app does not route."""
    app = guarded(handler(), path="/api/cb")
    app.router.add_post("/v1/api/cb", causes)
    client = await served(app)
    caplog.set_level(logging.WARNING)
    for path in ("/v1/api/cb", "/v1/api/cb", "/api/cb/", "/v2/api/cb", "/nowhere"):
        async with client.post(path, data=DELIVERY):
            pass
    async with client.get("/v2/api/cb") as answer:
        assert answer.status == 404
    lines = [each.getMessage() for each in caplog.records if "callback.near_miss" in each.getMessage()]
    misses = [(int(line.split("status=")[1][:3]), "guarded=True" in line) for line in lines]
    assert misses == [(200, False), (404, True)]


class Calls(web.View):
    """A class of views, as aiohttp's documentation writes one."""

    @callback(handler())
    async def post(self) -> web.Response:
        return await causes(self.request)


class Handlers:
    """A class whose methods are handlers, as aiohttp's documentation writes one."""

    @callback(handler())
    async def calls(self, request: web.Request) -> web.Response:
        return await causes(request)


async def test_methods_of_both_kinds_of_classes_are_decorated(served: Any) -> None:
    """Of a `web.View`, which has the request, and of an object of the app, which gets it."""
    app = web.Application()
    app.router.add_view("/view", Calls)
    app.router.add_post("/object", Handlers().calls)
    client = await served(app)
    for path in ("/view", "/object"):
        async with client.post(path, data=DELIVERY) as answer:
            assert await answer.json() == ["busy"]
        async with client.post(path, data=b"no json") as answer:
            assert answer.status == 400


def plain(request: web.Request) -> web.Response:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "None is no handler; decorate a function"),
        (Calls, f"{__name__}.Calls is a class; decorate its method post"),
        (plain, f"{__name__}.plain is not async; write async def"),
    ],
    ids=["nothing", "class", "sync"],
)
def test_what_aiohttp_could_not_call_is_refused(given: Any, message: str) -> None:
    """When it is decorated, not at the first delivery."""
    with pytest.raises(RegistrationError) as refused:
        callback(handler())(given)
    assert str(refused.value) == f"callback {message}"


@pytest.mark.parametrize("of", [callback, lambda given: callback_middleware(given, "/cb"), cleanup_context])
def test_a_router_in_place_of_a_handler_is_refused(of: Any) -> None:
    """By all three."""
    router = OutcomeRouter()
    with pytest.raises(RegistrationError, match="no decorator; write @callback"):
        of(router)


async def test_a_handler_that_is_called_without_its_request_says_so() -> None:
    """As by a decorator of the app that leaves the request out."""
    with pytest.raises(RegistrationError, match=r"causes was called without a web\.Request; give it the request"):
        await callback(handler())(causes)("no request")


async def test_the_access_log_has_no_secret(served: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Of a delivery, of a refusal, of a path that nearly fits, and where a middleware has made a clone."""

    @web.middleware
    async def clones(request: web.Request, handler: Any) -> Any:
        assert request.path_qs, "kept by the request from here on"
        return await handler(request.clone(remote="127.0.0.2"))

    made = handler(auth=SharedSecret(SECRET))
    app = guarded(made)
    app.middlewares.insert(0, clones)
    client = await served(app)
    caplog.set_level(logging.INFO, "aiohttp.access")
    for path in (f"/cb?secret={SECRET}", f"/cb?a=1&a={SECRET}", f"/v1/cb?secret={SECRET}"):
        async with client.post(path, data=DELIVERY):
            pass
    lines = [each.getMessage() for each in caplog.records if each.name == "aiohttp.access"]
    assert [line.split('"')[1] for line in lines] == [
        "POST /cb?secret=[secret] HTTP/1.1",
        "POST /cb?a=1&a=[secret] HTTP/1.1",
        "POST /v1/cb?secret=[secret] HTTP/1.1",
    ]


async def test_a_request_without_deliveries_has_no_outcomes() -> None:
    """The key is aiohttp's own kind of key where aiohttp has them, so that nothing warns."""
    request = make_mocked_request("GET", "/cb")
    assert await causes(request) is not None
    assert request.get(OUTCOMES) is None
