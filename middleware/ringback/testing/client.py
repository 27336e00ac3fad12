"""A client that posts deliveries to an ASGI app as Microsoft does, without a server, and waits for the hooks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary

import msgspec

from ringback.exceptions import RingbackError
from ringback.testing.capture import listening, routers_of_this_process
from ringback.testing.events import batch, delivery
from ringback.testing.grid import grid_headers, is_grid_event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping, Sequence
    from types import TracebackType

    from ringback.core.events import Event
    from ringback.core.outcome import Outcome
    from ringback.hooks.dispatcher import Dispatcher
    from ringback.hooks.registration import Listener
    from ringback.receiving.engine import Engine
    from ringback.testing.events import CloudEvent
    from ringback.testing.signing import Issuer
    from ringback.web.endpoint import OutcomeRouter

    Content = CloudEvent | Iterable[CloudEvent] | bytes
    """An event, several events for one delivery, or a whole body."""

    Message = dict[str, Any]

ASGIApp = Callable[[Any, Any, Any], "Awaitable[None]"]
"""Any ASGI application: Starlette, FastAPI, Litestar, Quart, Django, or a function."""

PATIENCE = 10.0
"""Seconds that hooks may take."""


class HooksLate(RingbackError, TimeoutError):
    """Due hooks have not returned in time."""


class AppNotStarted(RingbackError):
    """The app's lifespan failed; the message is the app's."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The response to the sender, and the outcomes that the endpoint got: none for a refused delivery."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    outcomes: tuple[Outcome, ...]

    def json(self) -> Any:
        """The body, decoded as JSON. Raises ``msgspec.DecodeError`` for a body that is no JSON."""
        return msgspec.json.decode(self.body)


class CallbackClient:
    """Delivers events to ``path`` of an ASGI app, in the event loop of the test.

    ``path`` is a path, perhaps with a query, and no template. An ``issuer`` signs every delivery as Call Automation
    does, or as Event Grid does for its events. The test gets the exceptions that the app raises. ``async with client:``
    runs the app's start-up and shutdown around the block; without the block the client runs neither. ``router`` is the
    app's; without ``router`` the client listens to every router of this process that exists at the first request.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        path: str = "/api/callbacks",
        issuer: Issuer | None = None,
        headers: Mapping[str, str] | None = None,
        router: OutcomeRouter | None = None,
    ) -> None:
        self.app = app
        self.path = path
        self.issuer = issuer
        self.headers = dict(headers or {})
        # The engines with the event loops that they work in: an adapter for WSGI has a loop of its own.
        self._engines: WeakKeyDictionary[Engine, asyncio.AbstractEventLoop] = WeakKeyDictionary()
        self._routers: tuple[OutcomeRouter, ...] = () if router is None else (router,)
        self._lifespan: _Lifespan | None = None
        self._delivered_at = 0.0

    async def deliver(
        self, *events: Content, path: str | None = None, headers: Mapping[str, str | None] | None = None
    ) -> Reply:
        """POST one delivery. Several events make one request, though no recording of the service has such a request.

        ``headers`` are added to the client's own. The value ``None`` removes a header, such as ``authorization``.
        """
        content = [event for item in events if not isinstance(item, bytes) for event in batch(item)]
        body = b"".join(item for item in events if isinstance(item, bytes)) or delivery(content)
        return await self.request("POST", path, body, self._headers(content) | dict(headers or {}))

    async def request(
        self, method: str, path: str | None = None, body: bytes = b"", headers: Mapping[str, str | None] | None = None
    ) -> Reply:
        """Make any request, such as the OPTIONS of a handshake, with these headers, a host and a content length."""
        captured: list[Outcome] = []
        deliveries: list[Sequence[Event]] = []
        this_request = object()

        def listener_of(router: OutcomeRouter) -> Listener:
            def listener(events: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
                # A bridge to WSGI may lose the context, and then the request is unknown. A router that includes another
                # one and the included router notify their listeners of the same delivery.
                if _request.get() in (None, this_request) and not any(events is known for known in deliveries):
                    deliveries.append(events)
                    captured.extend(outcomes)
                    self._engines[router.engine] = asyncio.get_running_loop()

            return listener

        self._routers = self._routers or routers_of_this_process()
        token = _request.set(this_request)
        try:
            exchange = _Exchange(body)
            # WSGI and Django read no body without a content length.
            length = {"content-length": str(len(body))} if body else {}
            scope = self._scope(method, path or self.path, {**length, **(headers or {})})
            with listening(self._routers, listener_of):
                await self.app(scope, exchange.receive, exchange.send)
        finally:
            _request.reset(token)
            self._delivered_at = time.monotonic()
        return Reply(exchange.status, exchange.headers, exchange.body, tuple(captured))

    async def hooks(self, timeout: float = PATIENCE) -> None:
        """Return when every due hook of the deliveries has run, and every due hook that follows from these hooks.

        The end of a call is due at once, without the settle time. A router with a ``store`` waits for the settle time,
        because other processes may share the store: give such a router ``settle=0`` in tests. Retries and redials of
        the future are not due. Raises :class:`HooksLate` after ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                for engine, loop in tuple(self._engines.items()):
                    if loop is asyncio.get_running_loop():
                        await self._done(engine.dispatcher, timeout)
                    elif loop.is_running():
                        done = asyncio.run_coroutine_threadsafe(self._done(engine.dispatcher, timeout), loop)
                        await asyncio.wrap_future(done)
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
        if dispatcher.in_memory is not None:
            # The drain is longer than the client's wait, so that a late hook fails the test. A drain that ends first
            # would give the hook up silently.
            await dispatcher.in_memory.drain(2 * timeout)

    async def _idle(self, dispatcher: Dispatcher) -> None:
        """Wait until the store has no due item. The client cannot shorten the settle time of a store."""
        settled_at = self._delivered_at + dispatcher.settle + _STEP
        while True:
            stats = await dispatcher.store.stats()
            if time.monotonic() >= settled_at and not stats.running and not stats.oldest_due:
                return
            await asyncio.sleep(_STEP)

    def _headers(self, content: Sequence[CloudEvent]) -> dict[str, str | None]:
        from_grid = bool(content) and is_grid_event(content[0])
        own = grid_headers(content[0]) if from_grid else {"content-type": "application/json"}
        if self.issuer is not None:
            token = self.issuer.grid_token() if from_grid else self.issuer.token()
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
    """:class:`CallbackClient` for tests that are no coroutines: the client runs the app in an event loop of its own.

    The loop runs only during the client's methods. ``with client:`` runs the app's start-up and shutdown;
    :meth:`close` ends the loop, also without such a block.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        path: str = "/api/callbacks",
        issuer: Issuer | None = None,
        headers: Mapping[str, str] | None = None,
        router: OutcomeRouter | None = None,
    ) -> None:
        self._client = CallbackClient(app, path=path, issuer=issuer, headers=headers, router=router)
        # A runner with a loop factory does not set the thread's event loop.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)

    def deliver(
        self, *events: Content, path: str | None = None, headers: Mapping[str, str | None] | None = None
    ) -> Reply:
        """See :meth:`CallbackClient.deliver`."""
        return self._runner.run(self._client.deliver(*events, path=path, headers=headers))

    def request(
        self, method: str, path: str | None = None, body: bytes = b"", headers: Mapping[str, str | None] | None = None
    ) -> Reply:
        """See :meth:`CallbackClient.request`."""
        return self._runner.run(self._client.request(method, path, body, headers))

    def hooks(self, timeout: float = PATIENCE) -> None:
        """See :meth:`CallbackClient.hooks`."""
        self._runner.run(self._client.hooks(timeout))

    def close(self) -> None:
        """End the loop and the tasks that wait in the loop."""
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
    """The client's side of the lifespan protocol. An app that does not know the protocol raises, and runs without it.

    Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
    """

    def __init__(self, app: ASGIApp) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())
        await self._send("lifespan.startup")

    async def stop(self) -> None:
        assert self._task is not None
        if not self._task.done():
            await self._send("lifespan.shutdown")
        await self._task

    async def _send(self, message: str) -> None:
        self._messages.put_nowait({"type": message})
        answer = await self._answers.get()
        if answer["type"] == f"{message}.failed":
            raise AppNotStarted(str(answer.get("message", "")) or f"the app answered {answer['type']}")

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._messages.get, self._answers.put)
        except Exception:
            # An app without lifespan raises ("Lifespan Protocol", "Scope").
            pass
        finally:
            self._answers.put_nowait({"type": "ended"})


_request: ContextVar[object | None] = ContextVar("ringback_testing_request", default=None)
_STEP = 0.01
