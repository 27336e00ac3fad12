"""Another event loop than asyncio's is refused: at the start, or at the first request where nobody starts."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
from starlette.applications import Starlette
from starlette.requests import Request  # noqa: TC002 - Starlette calls the endpoint with one
from starlette.responses import Response
from starlette.routing import Route

from ringback import CallbackHandler, CallOutcomeMiddleware, ConfigurationError, Outcome, OutcomeRouter

trio = pytest.importorskip("trio", reason="needs trio")

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.types import ASGIApp

SAID = (
    "Ringback needs asyncio's event loop, and this app runs in another, such as Trio's; run the app with asyncio or "
    "uvloop: hypercorn --worker-class asyncio, anyio.run(..., backend='asyncio')"
)
BODY = json.dumps(
    [
        {
            "type": "Microsoft.Communication.CallDisconnected",
            "data": {"callConnectionId": "leg-1", "resultInformation": {"code": 486, "subCode": 560486}},
        }
    ]
).encode()


class Site:
    """An app behind a door, and what of it was called."""

    def __init__(self, door: Callable[[Site], ASGIApp], store: str | None) -> None:
        self.called: list[str] = []
        self.router = OutcomeRouter(store=store, settle=0)
        self.router.on_retryable(self.hook)
        self.app = door(self)

    async def hook(self, outcome: Outcome) -> None:
        self.called.append(f"hook {outcome.cause}")

    async def route(self, request: Request) -> Response:
        self.called.append(f"route {request.url.path}")
        return Response()


def wrapped(site: Site) -> ASGIApp:
    app = Starlette(routes=[Route("/cb", site.route, methods=["POST", "GET"])])
    return CallOutcomeMiddleware(app, router=site.router, path="/cb", auth=None)


def added(site: Site) -> ASGIApp:
    app = Starlette(routes=[Route("/cb", site.route, methods=["POST", "GET"])])
    app.add_middleware(CallOutcomeMiddleware, router=site.router, path="/cb", auth=None)
    return app


def decorated(site: Site) -> ASGIApp:
    route = site.router.callback(auth=None)(site.route)
    return Starlette(routes=[Route("/cb", route, methods=["POST", "GET"])], lifespan=site.router.lifespan)


def handled(site: Site) -> ASGIApp:
    handler = CallbackHandler(site.router, auth=None)

    async def callbacks(request: Request) -> Response:
        await handler.handle(await request.body(), {})
        return await site.route(request)

    return Starlette(routes=[Route("/cb", callbacks, methods=["POST", "GET"])], lifespan=site.router.lifespan)


DOORS = pytest.mark.parametrize("door", [wrapped, added, decorated, handled])
STORES = pytest.mark.parametrize(
    "store", [None, "memory", "sqlite:///{}/ringback.db"], ids=["none", "memory", "sqlite"]
)


@pytest.fixture
def site(door: Callable[[Site], ASGIApp], store: str | None, tmp_path: Path) -> Site:
    return Site(door, store and store.format(tmp_path))


def in_trio(function: Callable[[], Any]) -> Any:
    """Runs the function in Trio's loop. A request that hung would fail the test."""

    async def run() -> Any:
        with trio.fail_after(20):
            return await function()

    return anyio.run(run, backend="trio")


@DOORS
@STORES
def test_the_start_ends_with_the_remedy(site: Site) -> None:
    """As the server asks for it, so that it does not serve; nothing is opened before."""
    sent: list[Any] = []
    messages = [{"type": "lifespan.startup"}]

    async def start() -> None:
        async def receive() -> Any:
            return messages.pop()

        async def send(message: Any) -> None:
            sent.append(message)

        await site.app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)

    with pytest.raises(ConfigurationError) as refused:
        in_trio(start)
    assert str(refused.value) == SAID
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    assert SAID in sent[0]["message"]


@DOORS
@STORES
@pytest.mark.parametrize("chunks", [[BODY], [BODY[:9], BODY[9:], b""]], ids=["whole", "in chunks"])
def test_a_delivery_that_nobody_announced_is_refused(site: Site, chunks: list[bytes]) -> None:
    """Each time, and the route is not called: an acknowledged outcome would be lost, a body in parts would hang."""

    async def post() -> None:
        parts = [
            {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
            for number, chunk in enumerate(chunks, 1)
        ]

        async def receive() -> Any:
            # A part comes later, as from a network.
            await anyio.lowlevel.checkpoint()
            return parts.pop(0)

        async def send(message: Any) -> None:
            assert message.get("status", 500) == 500

        head = {"type": "http", "method": "POST", "path": "/cb", "query_string": b"", "headers": []}
        await site.app({**head, "http_version": "1.1"}, receive, send)

    for _ in range(2):
        with pytest.raises(ConfigurationError) as refused:
            in_trio(post)
        assert str(refused.value) == SAID
    assert site.called == []


def test_other_requests_pass_through_in_any_loop() -> None:
    """They are none of the middleware's business."""
    site, sent = Site(wrapped, None), list[Any]()

    async def get() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request"}

        head = {"type": "http", "method": "GET", "path": "/health", "query_string": b"", "headers": []}
        await site.app({**head, "http_version": "1.1"}, receive, send)

    in_trio(get)
    assert sent[0]["status"] == 404


APP = """
from starlette.applications import Starlette
from ringback import CallOutcomeMiddleware, OutcomeRouter

router = OutcomeRouter()
app = Starlette()
app.add_middleware(CallOutcomeMiddleware, router=router, path="/cb", auth=None)
"""


def test_hypercorn_with_its_trio_worker_does_not_start(tmp_path: Path) -> None:
    """A real server: it ends and says why."""
    (tmp_path / "app.py").write_text(APP)
    command = ["hypercorn", "--worker-class", "trio", "--bind", "127.0.0.1:0", "app:app"]
    ended = subprocess.run(
        [sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert SAID in ended.stdout + ended.stderr


async def test_a_loop_that_is_made_for_asyncio_is_asyncios() -> None:
    """By whichever policy: uvloop's is one of them."""
    site = Site(wrapped, None)
    site.router.engine.check()
    assert asyncio.get_running_loop() is not None
    assert site.router.engine.is_checked
