"""What holds with a store and without: how much may wait, and what the sender is told then."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response
from starlette.routing import Route

from records import lines_in
from ringback import CallbackHandler, CallOutcomeMiddleware, Outcome, OutcomeRouter

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp


def body(leg: str) -> bytes:
    data = {"callConnectionId": leg, "resultInformation": {"code": 486, "subCode": 560486}}
    return json.dumps([{"type": "Microsoft.Communication.CallDisconnected", "id": leg, "data": data}]).encode()


def wrapped(router: OutcomeRouter, route: Callable[[Request], Any]) -> ASGIApp:
    app = Starlette(routes=[Route("/cb", route, methods=["POST"])])
    return CallOutcomeMiddleware(app, router=router, path="/cb", auth=None)


def decorated(router: OutcomeRouter, route: Callable[[Request], Any]) -> ASGIApp:
    return Starlette(routes=[Route("/cb", router.callback(auth=None)(route), methods=["POST"])])


def handled(router: OutcomeRouter, route: Callable[[Request], Any]) -> ASGIApp:
    handler = CallbackHandler(router, auth=None)

    async def callbacks(request: Request) -> Response:
        reply = await handler.handle(await request.body(), dict(request.headers))
        return Response(reply.body, reply.status, dict(reply.headers)) if reply.status != 200 else await route(request)

    return Starlette(routes=[Route("/cb", callbacks, methods=["POST"])])


@pytest.mark.parametrize("door", [wrapped, decorated, handled])
async def test_memory_is_bounded_at_every_door(door: Callable[..., ASGIApp], caplog: pytest.LogCaptureFixture) -> None:
    """Beyond the bound the sender is asked to come again, and neither the route nor a hook is called."""
    router, release = OutcomeRouter(store="memory?max_backlog=2", settle=0), asyncio.Event()
    routed: list[bytes] = []
    told: list[str | None] = []

    @router.on_retryable
    async def slow(outcome: Outcome) -> None:
        await release.wait()
        told.append(outcome.call_connection_id)

    async def route(request: Request) -> Response:
        routed.append(await request.body())
        return Response(status_code=204)

    await router.start()
    transport = httpx.ASGITransport(door(router, route))
    async with httpx.AsyncClient(transport=transport, base_url="https://app.example.com") as client:
        answers = [await client.post("/cb", content=body(leg)) for leg in "abcd"]
        assert [answer.status_code for answer in answers] == [204, 204, 503, 503]
        assert answers[2].headers["retry-after"] == "30"
        assert routed == [body("a"), body("b")]
        release.set()
        await router.drain()
        assert (await client.post("/cb", content=body("c"))).status_code == 204
        await router.drain()
    assert told == ["a", "b", "c"]
    faults = [line["error"] for line in lines_in(caplog.records) if line["event"] == "store.unavailable"]
    assert len(faults) == 2
    assert faults[0].startswith("StoreFull: 2 items wait in the memory of this process; at most 2 may")
