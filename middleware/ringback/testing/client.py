"""A client that posts deliveries to an ASGI app as Microsoft would, without a server, and waits for the hooks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary

import msgspec

from ringback.dispatch import WATCHERS
from ringback.exceptions import RingbackError
from ringback.router import TAPS
from ringback.testing.events import batch, delivery
from ringback.testing.grid import grid_headers, is_grid_event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping, Sequence
    from types import TracebackType

    from ringback.dispatch import Dispatcher
    from ringback.events import Event
    from ringback.outcome import Outcome
    from ringback.testing.events import CloudEvent
    from ringback.testing.signing import Issuer

    Given = CloudEvent | Iterable[CloudEvent] | bytes
    """An event, several for one delivery, or a body as it is."""

    Message = dict[str, Any]

ASGIApp = Callable[[Any, Any, Any], "Awaitable[None]"]
"""Any ASGI application: Starlette, FastAPI, Litestar, Quart, Django, or a function."""

PATIENCE = 10.0
"""Seconds that hooks may take."""


class HooksLate(RingbackError, TimeoutError):
    """Hooks that were due have not returned in time."""


class AppNotStarted(RingbackError):
    """The app refused to start; the message is its own."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the sender gets, and the outcomes that the endpoint saw; none if the delivery was refused."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    outcomes: tuple[Outcome, ...]

    def json(self) -> Any:
        """The body as JSON. Raises ``msgspec.DecodeError`` if it is none."""
        return msgspec.json.decode(self.body)


class CallbackClient:
    """Delivers events to ``path`` of an ASGI app, in the event loop of the test.

    ``path`` is a path, not a template; it may have a query. With an ``issuer`` every delivery is signed as
    Call Automation signs, or as Event Grid does for its own events. An exception that the app lets through
    reaches the test. ``async with client:`` starts and stops the app around it; without, nothing of the
    app's own start-up runs.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        path: str = "/api/callbacks",
        issuer: Issuer | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.app = app
        self.path = path
        self.issuer = issuer
        self.headers = dict(headers or {})
        # With the loop that each works in: an adapter for WSGI has one of its own.
        self._dispatchers: WeakKeyDictionary[Dispatcher, asyncio.AbstractEventLoop] = WeakKeyDictionary()
        self._lifespan: _Lifespan | None = None
        self._delivered_at = 0.0

    async def deliver(
        self, *events: Given, path: str | None = None, headers: Mapping[str, str | None] | None = None
    ) -> Reply:
        """POST one delivery. Several events make one request, which the service itself has never been seen to do.

        ``headers`` are added to the client's own; ``None`` leaves one out, such as ``authorization``.
        """
        content = [each for given in events if not isinstance(given, bytes) for each in batch(given)]
        body = b"".join(each for each in events if isinstance(each, bytes)) or delivery(content)
        return await self.request("POST", path, body, self._headers(content) | dict(headers or {}))

    async def request(
        self, method: str, path: str | None = None, body: bytes = b"", headers: Mapping[str, str | None] | None = None
    ) -> Reply:
        """Any request, such as the OPTIONS of a handshake, with no headers but those given, its host and its length."""
        captured: list[Outcome] = []
        mine = object()

        def concerns_me() -> bool:
            # Where a bridge to WSGI loses the context, there is nobody to tell apart.
            return _request.get() in (None, mine)

        def tap(_: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
            if concerns_me():
                captured.extend(outcomes)

        def watch(dispatcher: Dispatcher) -> None:
            if concerns_me():
                self._dispatchers[dispatcher] = asyncio.get_running_loop()

        token = _request.set(mine)
        TAPS.append(tap)
        WATCHERS.append(watch)
        try:
            exchange = _Exchange(body)
            # Without a length WSGI and Django read nothing.
            length = {"content-length": str(len(body))} if body else {}
            scope = self._scope(method, path or self.path, {**length, **(headers or {})})
            await self.app(scope, exchange.receive, exchange.send)
        finally:
            WATCHERS.remove(watch)
            TAPS.remove(tap)
            _request.reset(token)
            self._delivered_at = time.monotonic()
        return Reply(exchange.status, exchange.headers, exchange.body, tuple(captured))

    async def hooks(self, timeout: float = PATIENCE) -> None:
        """Return when every hook that is due for what was delivered has run, and all that came of it.

        The ends of calls are due at once: nothing waits for a sibling any more. Retries and redials that
        lie in the future are not due. With a store that others may share, the settle time passes as it is:
        give the app ``settle=0`` in tests. Raises :class:`HooksLate` after ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                for dispatcher, loop in tuple(self._dispatchers.items()):
                    if loop is asyncio.get_running_loop():
                        await self._done(dispatcher, timeout)
                    elif loop.is_running():
                        there = asyncio.run_coroutine_threadsafe(self._done(dispatcher, timeout), loop)
                        await asyncio.wrap_future(there)
        except TimeoutError:
            raise HooksLate(f"hooks have not returned within {timeout:g} seconds") from None

    async def __aenter__(self) -> Self:
        self._lifespan = _Lifespan(self.app)
        await self._lifespan.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._lifespan is not None
        await self._lifespan.stop()
        self._lifespan = None

    async def _done(self, dispatcher: Dispatcher, timeout: float) -> None:
        if dispatcher.durable:
            await self._idle(dispatcher)
        else:
            # Longer than we wait: what is late must fail the test, not be given up silently.
            await dispatcher.drain(2 * timeout)

    async def _idle(self, dispatcher: Dispatcher) -> None:
        """Wait until a store has nothing that is due: it is not ours to hasten."""
        settled_at = self._delivered_at + dispatcher.settle + _STEP
        while True:
            stats = await dispatcher.store.stats()
            if time.monotonic() >= settled_at and not stats.running and not stats.oldest_due:
                return
            await asyncio.sleep(_STEP)

    def _headers(self, content: Sequence[CloudEvent]) -> dict[str, str | None]:
        of_grid = bool(content) and is_grid_event(content[0])
        own = grid_headers(content[0]) if of_grid else {"content-type": "application/json"}
        if self.issuer is not None:
            token = self.issuer.grid_token() if of_grid else self.issuer.token()
            own["authorization"] = f"Bearer {token}"
        return {**own, **self.headers}

    def _scope(self, method: str, path: str, headers: Mapping[str, str | None]) -> dict[str, Any]:
        plain, _, query = path.partition("?")
        kept = {name.lower(): value for name, value in headers.items() if value is not None}
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": plain,
            "raw_path": plain.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [
                (name.encode("latin-1"), value.encode("latin-1"))
                for name, value in {"host": "callbacks.example.com", **kept}.items()
            ],
            "server": ("callbacks.example.com", 443),
            "client": ("127.0.0.1", 50000),
        }
        if self._lifespan is not None:
            scope["state"] = self._lifespan.state.copy()
        return scope


class SyncCallbackClient:
    """:class:`CallbackClient` for tests that are no coroutines: the app runs in a loop of the client's own.

    Between two calls that loop stands still. ``with client:`` starts and stops the app; :meth:`close` ends the
    loop, also where the app was never started.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        path: str = "/api/callbacks",
        issuer: Issuer | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._client = CallbackClient(app, path=path, issuer=issuer, headers=headers)
        # With a factory of its own the runner leaves the thread's event loop alone.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)

    def deliver(
        self, *events: Given, path: str | None = None, headers: Mapping[str, str | None] | None = None
    ) -> Reply:
        """:meth:`CallbackClient.deliver`."""
        return self._runner.run(self._client.deliver(*events, path=path, headers=headers))

    def request(
        self, method: str, path: str | None = None, body: bytes = b"", headers: Mapping[str, str | None] | None = None
    ) -> Reply:
        """:meth:`CallbackClient.request`."""
        return self._runner.run(self._client.request(method, path, body, headers))

    def hooks(self, timeout: float = PATIENCE) -> None:
        """:meth:`CallbackClient.hooks`."""
        self._runner.run(self._client.hooks(timeout))

    def close(self) -> None:
        """End the loop, and with it what still waits in it."""
        self._runner.close()

    def __enter__(self) -> Self:
        self._runner.run(self._client.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._runner.run(self._client.__aexit__(kind, error, traceback))
        finally:
            self.close()


class _Exchange:
    """One request and its response in ASGI's messages."""

    def __init__(self, body: bytes) -> None:
        self._pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._answered = asyncio.Event()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""

    async def receive(self) -> Message:
        if self._pending:
            return self._pending.pop()
        await self._answered.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in message["headers"]}
        else:
            self.body += message.get("body", b"")
            if not message.get("more_body", False):
                self._answered.set()


class _Lifespan:
    """The start and the end of an app. One that knows nothing of them raises, and is left alone."""

    def __init__(self, app: ASGIApp) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._told: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())
        await self._tell("lifespan.startup")

    async def stop(self) -> None:
        assert self._task is not None
        if not self._task.done():
            await self._tell("lifespan.shutdown")
        await self._task

    async def _tell(self, what: str) -> None:
        self._told.put_nowait({"type": what})
        answer = await self._answers.get()
        if answer["type"] == f"{what}.failed":
            raise AppNotStarted(str(answer.get("message", "")) or f"the app answered {answer['type']}")

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._told.get, self._answers.put)
        except Exception:
            # That is how an app says that it has no lifespan (ASGI, "Lifespan Protocol").
            pass
        finally:
            self._answers.put_nowait({"type": "ended"})


_request: ContextVar[object | None] = ContextVar("ringback_testing_request", default=None)
_STEP = 0.01
