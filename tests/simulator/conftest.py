"""An app as users have it, on a real socket: a Starlette route, Ringback in front of it, hooks."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request

SETTLE = 0.05


class App:
    """A server in a thread; ``hooks`` are what its hooks were called with, ``seen`` the events its route saw."""

    def __init__(self, auth: Any = None, refusals: int = 0) -> None:
        self.hooks: list[tuple[str, str, str | None]] = []
        self.seen: list[str] = []
        self.refusals = refusals
        router = OutcomeRouter(settle=SETTLE)

        @router.on_retryable
        async def again(outcome: Outcome) -> None:
            self.hooks.append(("retryable", outcome.cause, outcome.call_connection_id))

        @router.on_terminal
        async def close(outcome: Outcome) -> None:
            self.hooks.append(("terminal", outcome.cause, outcome.call_connection_id))

        @router.on(scope="operation")
        def ignore(outcome: Outcome) -> None: ...

        async def callbacks(request: Request) -> Response:
            self.seen += [each["type"].rpartition(".")[2] for each in await request.json() if "type" in each]
            if self.refusals:
                self.refusals -= 1
                return Response(status_code=503)
            return Response()

        async def incoming(request: Request) -> Response:
            self.seen += [each["eventType"].rpartition(".")[2] for each in await request.json()]
            return Response()

        middleware = Middleware(CallOutcomeMiddleware, router=router, path="/cb", auth=auth)
        routes = [Route("/cb", callbacks, methods=["POST"]), Route("/grid", incoming, methods=["POST"])]
        config = uvicorn.Config(Starlette(routes=routes, middleware=[middleware]), log_config=None, ws="none")
        self._server = uvicorn.Server(config)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/cb?token=elided"
        self.grid_url = self.url.replace("/cb", "/grid")

    def ended(self) -> list[tuple[str, str, str | None]]:
        """The hooks once the first was called and the server has shut down, which waits for any other."""
        until(lambda: self.hooks)
        self.close()
        return self.hooks

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


def until(condition: Callable[[], object]) -> bool:
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def start() -> Iterator[Callable[..., App]]:
    """Starts apps, and ends those that still run."""
    apps: list[App] = []

    def begin(**settings: Any) -> App:
        apps.append(App(**settings))
        return apps[-1]

    yield begin
    for app in apps:
        app.close()


@pytest.fixture
def app(start: Callable[..., App]) -> App:
    return start()
