"""What every app of the suite has in common: the hooks, the settings of its four routes, and what its route does."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import threading
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter, SharedSecret, StoreUnavailable
from ringback.stores import MemoryStore
from ringback.web.handler import CallbackHandler

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

SECRET = "a-shared-secret-of-this-app"
STATUS, BODY = 202, b'{"answered":  "by the route"}'
HEADERS = {"content-type": "application/x-of-the-route", "x-route": "yes"}


class DownStore(MemoryStore):
    """A store that has been down since the start."""

    @property
    def durable(self) -> bool:
        return True

    async def open(self) -> None:
        raise StoreUnavailable("down")

    async def put(self, items: object) -> Any:  # noqa: ARG002
        raise StoreUnavailable("down")


class Rig:
    """Writes what happens into a file, a line for each: the app may be in another process."""

    max_body = 20_000
    settings: ClassVar[dict[str, dict[str, Any]]] = {
        "open": {"settle": 0.05},
        "signed": {"settle": 0.05},
        "late": {"settle": 600.0},
        # The outermost: with a store, a middleware answers the server for an app that knows no lifespan.
        "down": {"settle": 0.05},
    }

    def __init__(self, record: str) -> None:
        self._record = Path(record)
        self._lock = threading.Lock()  # noqa: TID251 - an app's own
        self._handlers: list[CallbackHandler] = []
        self.routers = {name: self._router(name) for name in self.settings}

    def _router(self, name: str) -> OutcomeRouter:
        router = OutcomeRouter(store=self._store(name), **self.settings[name])

        @router.on_retryable
        async def again(outcome: Outcome) -> None:
            self._write({"hook": name, "leg": outcome.call_connection_id, "event": outcome.event_name})

        @router.on_terminal
        def over(outcome: Outcome) -> None:
            self._write({"hook": name, "leg": outcome.call_connection_id, "event": outcome.event_name})

        return router

    def _store(self, name: str) -> DownStore | None:
        return DownStore() if name == "down" else None

    def door(self, name: str) -> dict[str, Any]:
        """The settings of the door to one route."""
        return {"auth": SharedSecret(SECRET) if name == "signed" else None, "max_body": self.max_body}

    def wrapped(self, app: Any) -> Any:
        """The app behind one middleware for each route."""
        for name in self.settings:
            app = CallOutcomeMiddleware(
                app,
                router=self.routers[name],
                path=f"/{name}/{{leg}}",
                **self.door(name),
            )
        return app

    def callbacks(self) -> dict[str, Callable[..., Any]]:
        """The decorators of the router, for Starlette and FastAPI."""
        return {name: router.callback(**self.door(name)) for name, router in self.routers.items()}

    def handlers(self) -> dict[str, CallbackHandler]:
        made = {name: CallbackHandler(router, **self.door(name)) for name, router in self.routers.items()}
        self._handlers += made.values()
        return made

    def end(self) -> None:
        """The end of the process, for handlers without a loop of their own."""
        for handler in self._handlers:
            if "sync" in vars(handler):
                handler.sync.drain()

    @asynccontextmanager
    async def lifespan(self, _: object = None) -> AsyncGenerator[None]:
        """For the router's decorators."""
        for router in self.routers.values():
            await router.start()
        yield
        for router in self.routers.values():
            await router.drain()

    def route(
        self, method: str, path: str, body: bytes, headers: Any, outcomes: Sequence[Outcome] | None
    ) -> tuple[int, bytes, dict[str, str]]:
        """What the app's route does with any request: it notes it, and raises or waits if the path says so."""
        self._note(method, path, body, headers, outcomes)
        while not self._may_answer(path):
            time.sleep(0.01)
        return STATUS, BODY, HEADERS

    async def routed(
        self, method: str, path: str, body: bytes, headers: Any, outcomes: Sequence[Outcome] | None
    ) -> tuple[int, bytes, dict[str, str]]:
        """The same in an event loop, which goes on meanwhile."""
        self._note(method, path, body, headers, outcomes)
        while not self._may_answer(path):  # noqa: ASYNC110 - the hook may run in another loop
            await asyncio.sleep(0.01)
        return STATUS, BODY, HEADERS

    def _may_answer(self, path: str) -> bool:
        """A route that waits answers once the hook was called for its leg, which is the end of its path."""
        leg = path.partition("waits-")[2]
        hooked = (each for each in self._record.read_text("utf-8").splitlines() if '"hook"' in each and leg in each)
        return not leg or any(hooked)

    def _note(self, method: str, path: str, body: bytes, headers: Any, outcomes: Sequence[Outcome] | None) -> None:
        named = {name.lower(): value for name, value in dict(headers).items()}
        self._write(
            {
                "route": path,
                "method": method,
                "body": base64.b64encode(body).decode(),
                "tag": named.get("x-tag"),
                "type": named.get("content-type"),
                "causes": None if outcomes is None else [str(each.cause) for each in outcomes],
            }
        )
        if "raises" in path:
            raise LookupError("the route's own")

    def _write(self, entry: dict[str, Any]) -> None:
        with self._lock, self._record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())
