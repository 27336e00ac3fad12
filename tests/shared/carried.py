"""A process of a copy of Ringback whose doors take ``tenant=``. Writes where the tenant is, by door and store.

``python carried.py FOLDER``, with the copy on the path and a folder for the files of SQLite.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import httpx
import structlog
from quart import Quart, g
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ringback import CallbackHandler, CallOutcomeMiddleware, OutcomeRouter
from ringback.adapters.quart import callback
from ringback.testing import call_disconnected, create_call_failed, delivery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

DOOR: Any = {"auth": None, "tenant": "acme"}
given: list[str] = []
lines: list[dict[str, Any]] = []


async def route(request: Request) -> Response:
    given.extend(outcome.tenant for outcome in request.state.call_outcomes)
    return Response()


def posting_to(app: Starlette) -> Callable[[bytes], Awaitable[object]]:
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app")
    return lambda body: client.post("/cb", content=body)


def middleware(router: OutcomeRouter) -> Callable[[bytes], Awaitable[object]]:
    app = Starlette(routes=[Route("/cb", route, methods=["POST"])])
    app.add_middleware(CallOutcomeMiddleware, router=router, path="/cb", **DOOR)
    return posting_to(app)


def decorator(router: OutcomeRouter) -> Callable[[bytes], Awaitable[object]]:
    return posting_to(Starlette(routes=[Route("/cb", router.callback(**DOOR)(route), methods=["POST"])]))


def handler(router: OutcomeRouter) -> Callable[[bytes], Awaitable[object]]:
    door = CallbackHandler(router, **DOOR)

    async def post(body: bytes) -> None:
        given.extend(outcome.tenant for outcome in (await door.handle(body, {})).outcomes)  # type: ignore[attr-defined]

    return post


def adapter(router: OutcomeRouter) -> Callable[[bytes], Awaitable[object]]:
    app = Quart("carried")

    @app.post("/cb")
    @callback(CallbackHandler(router, **DOOR))
    async def quart_route() -> str:
        given.extend(outcome.tenant for outcome in g.call_outcomes)
        return ""

    return lambda body: app.test_client().post("/cb", data=body)


async def deliver(door: Callable[[OutcomeRouter], Callable[[bytes], Awaitable[object]]], store: str) -> None:
    """Two events of one call, which the store merges before the hook gets them."""
    router, called = OutcomeRouter(store=store, settle=0.5), asyncio.Event()
    kept: list[Any] = []

    @router.on_retryable
    async def hook(outcome: Any) -> None:
        kept.append(outcome)
        called.set()

    ended, failed = call_disconnected(486, 560486), create_call_failed(486, 560486)
    failed["data"]["callConnectionId"] = ended["data"]["callConnectionId"]
    post = door(router)
    await router.start()
    await post(delivery(ended))
    await post(delivery(failed))
    await called.wait()
    await router.drain()
    found = {
        "route": given,
        "line": [line.get("tenant") for line in lines if line["event"] == "call.outcome"],
        "hook": [outcome.tenant for outcome in kept if outcome.sibling is not None],
        "dictionary": [outcome.to_dict()["tenant"] for outcome in kept],
    }
    sys.stdout.write(json.dumps(found) + "\n")
    given.clear()
    lines.clear()


async def main(folder: str) -> None:
    for door in (middleware, decorator, handler, adapter):
        await deliver(door, "memory")
        await deliver(door, f"sqlite:///{folder}/{door.__name__}.db")


def note(_: object, __: str, line: Any) -> str:
    lines.append(dict(line))
    return ""


if __name__ == "__main__":
    structlog.configure(processors=[note], logger_factory=structlog.ReturnLoggerFactory())
    asyncio.run(main(sys.argv[1]))
