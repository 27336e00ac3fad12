"""An app as users have it, on a real socket: a Starlette route, Ringback in front of it, hooks."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from live_server import Served
from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request

SETTLE = 0.05


class App(Served):
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
        super().__init__(Starlette(routes=routes, middleware=[middleware]))
        self.url = f"{self.origin}/cb?token=elided"
        self.grid_url = f"{self.origin}/grid?token=elided"

    def ended(self) -> list[tuple[str, str, str | None]]:
        """The hooks once the first was called and the server has shut down, which waits for any other."""
        until(lambda: self.hooks)
        self.close()
        return self.hooks


def until(condition: Callable[[], object]) -> bool:
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def start() -> Iterator[Callable[..., App]]:
    """Starts apps, and ends those that still run."""
    with ExitStack() as apps:
        yield lambda **settings: apps.enter_context(App(**settings))


@pytest.fixture
def app(start: Callable[..., App]) -> App:
    return start()
