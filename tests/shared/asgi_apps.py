"""An app and a server by hand, the middleware between them, and what is sent through it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from structlog.contextvars import get_contextvars

from records import lines_in
from ringback import (
    CallOutcomeMiddleware,
    Head,
    Outcome,
    OutcomeRouter,
    Refusal,
)
from ringback.settings import ENGINE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest


LEG = "1f0e5c1a-0000-4000-8000-000000000001"
CALL = "1f0e5c1a-0000-4000-8000-000000000002"
PATH = "/api/callbacks/{context_id}"


def event(name: str = "CallDisconnected", code: int = 486, subcode: int = 560486, leg: str = LEG) -> dict[str, Any]:
    return {
        "id": "1f0e5c1a-0000-4000-8000-000000000003",
        "source": f"calling/callConnections/{leg}",
        "type": f"Microsoft.Communication.{name}",
        "data": {
            "callConnectionId": leg,
            "serverCallId": "server-1",
            "correlationId": CALL,
            "resultInformation": {"code": code, "subCode": subcode, "message": ""},
        },
        "time": "2026-01-02T03:04:05.0629553+00:00",
        "specversion": "1.0",
    }


def delivery(*events: object) -> bytes:
    return json.dumps(events or [event()]).encode()


def http(
    path: str = "/api/callbacks/1", method: str = "POST", headers: Sequence[tuple[bytes, bytes]] = (), **more: Any
):
    return {"type": "http", "method": method, "path": path, "headers": list(headers), **more}


def chunked(*chunks: bytes) -> list[dict[str, Any]]:
    """The messages that bring a body in these chunks."""
    last = len(chunks) - 1
    return [{"type": "http.request", "body": each, "more_body": i < last} for i, each in enumerate(chunks)]


class Server:
    """A raw ASGI server: gives the messages it was made with, then a disconnect; keeps what it is sent."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        return self.messages.pop(0) if self.messages else {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return self.sent[0]["status"]


class App:
    """A raw ASGI app: keeps what it was called with and all it receives, and answers 204."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, Any]] = []
        self.received: list[Any] = []
        self.bound: dict[str, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append((scope, receive, send))
        self.bound = get_contextvars()
        while not self.received or self.received[-1]["type"] != "http.disconnect":
            self.received.append(await receive())
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def silent(scope: Any, receive: Any, send: Any) -> None:
    """An app that is only called."""


def wrapped(app: Any, router: OutcomeRouter | None = None, **options: Any) -> CallOutcomeMiddleware:
    """The app behind a door of a router that includes the given one; a setting of the engine goes to that router."""
    options = {"path": PATH, "settle": 0, "auth": None, **options}
    outer = OutcomeRouter(**{name: options.pop(name) for name in ENGINE if name in options})
    if router is not None:
        outer.include(router)
    return CallOutcomeMiddleware(app, router=outer, **options)


def collecting(into: list[Any], of: Callable[[Outcome], Any] = lambda outcome: outcome.event_name) -> OutcomeRouter:
    """A router whose hook for every call's end appends to a list."""
    router = OutcomeRouter()

    @router.on_retryable
    @router.on_terminal
    async def collect(outcome: Outcome) -> None:
        into.append(of(outcome))

    return router


async def shut_down(app: Any) -> None:
    """What a server does when it stops; all hooks have run when this returns."""
    await app({"type": "lifespan"}, Server({"type": "lifespan.shutdown"}).receive, Server().send)


async def lifespan_only(scope: Any, receive: Any, send: Any) -> None:
    await receive()


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return lines_in(caplog.records)


def answered(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> list[dict[str, Any]]:
    """The messages of a whole response."""
    listed = [*headers, (b"content-length", str(len(body)).encode())]
    return [
        {"type": "http.response.start", "status": status, "headers": listed},
        {"type": "http.response.body", "body": body},
    ]


def problem(status: int, title: str, detail: str) -> list[dict[str, Any]]:
    body = json.dumps(
        {"type": "about:blank", "title": title, "status": status, "detail": detail}, separators=(",", ":")
    ).encode()
    return answered(status, body, (b"content-type", b"application/problem+json"))


SECRET = "a-shared-secret-of-this-app"


class Check:
    """A check that always says the same, and lets handshakes of the subscription `calls` be answered if it is to."""

    def __init__(self, refusal: Refusal | None) -> None:
        self.refusal = refusal
        self.asked = 0

    async def __call__(self, _: Head) -> Refusal | None:
        self.asked += 1
        return self.refusal


MISSING = Refusal("token_missing")


async def never() -> Any:
    """A server whose client sends nothing more."""
    await asyncio.Event().wait()


async def until(condition: Callable[[], object]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen within ten seconds")
