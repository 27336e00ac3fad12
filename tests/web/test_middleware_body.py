"""The middleware before an ASGI app: however and whenever a body comes, the route gets it whole or not at all."""

from __future__ import annotations

import asyncio
import types
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asgi_apps import PATH, App, Server, answered, chunked, delivery, http, lines, never, problem, silent, wrapped
from ringback import (
    CallOutcomeMiddleware,
    OutcomeRouter,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from starlette.requests import Request

INTERRUPTED = answered(400, b"")
"""What a sender gets whose body breaks off, and who may have left."""


# A sender that is slow


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
async def test_a_sender_that_left_before_its_body_does_not_reach_the_route(pause: Callable[[], Any]) -> None:
    """Whether that is known at once or only later."""
    server, app = await piecewise([{"type": "http.disconnect"}], pause)
    assert (server.sent, app.calls) == (INTERRUPTED, [])


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
    assert (request.exception(), server.sent) == (None, INTERRUPTED)


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
    app.add_middleware(CallOutcomeMiddleware, router=OutcomeRouter(settle=0), path=PATH, auth=None)
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

    # Long enough for a prompt body on a busy machine.
    middleware = Outer(wrapped(App(), body_timeout=0.5))
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
    """The route is not called, nothing is raised. Middlewares and servers want an answer, also one for nobody."""
    caplog.set_level("INFO", "ringback")
    app = App()
    server = Server({"type": "http.request", "body": b"[", "more_body": True}, {"type": "http.disconnect"})
    await wrapped(app)(http(), server.receive, server.send)
    assert (app.calls, server.sent) == ([], INTERRUPTED)
    reason = "the sender disconnected before the body was complete"
    assert lines(caplog) == [{"event": "delivery.interrupted", "reason": reason}]


async def test_a_server_may_raise_for_the_answer_to_a_sender_that_has_left() -> None:
    """ASGI allows the server an OSError, and nobody needs to hear of it."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        raise OSError

    await wrapped(App())(http(), Server().receive, send)
    assert sent == INTERRUPTED[:1]


async def test_a_middleware_of_starlettes_before_ours_takes_a_sender_that_leaves_for_no_fault_of_the_app() -> None:
    """``BaseHTTPMiddleware`` raises for an app that gives no response."""

    async def passes(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    server = Server({"type": "http.request", "body": b"[", "more_body": True})
    await BaseHTTPMiddleware(wrapped(App()), passes)(http(), server.receive, server.send)
    assert server.status == 400


async def test_a_sender_that_leaves_after_the_body_is_news_for_the_route() -> None:
    """After the body the route hears what the server says."""
    app, server = App(), Server(*chunked(delivery()), {"type": "http.disconnect", "marker": 1})
    await wrapped(app)(http(), server.receive, server.send)
    assert app.received[1:] == [{"type": "http.disconnect", "marker": 1}]
