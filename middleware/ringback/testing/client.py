"""A client that posts deliveries to an ASGI app as Microsoft does, without a server, and waits for the hooks."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from dataclasses import dataclass
from traceback import format_exception
from typing import TYPE_CHECKING, Self
from weakref import WeakKeyDictionary

from ringback.exceptions import ConfigurationError, RingbackError
from ringback.testing.capture import checked_router, listening, routers_of_this_process
from ringback.testing.deliveries import batch, delivery
from ringback.testing.failures import Failures, HooksFailed
from ringback.testing.grid import grid_headers, is_grid_event
from ringback.testing.posting import Exchange, Lifespan, checked_path, merged, scope_of
from ringback.web.middleware import refuse_no_asgi
from ringback.work.items import Kind, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from ringback.core.events import Event
    from ringback.core.outcome import Outcome
    from ringback.hooks.dispatcher import Dispatcher
    from ringback.hooks.registration import Listener
    from ringback.receiving.engine import Engine
    from ringback.testing.builder import CloudEvent
    from ringback.testing.posting import ASGIApp, Headers, Reply
    from ringback.testing.signing import Issuer
    from ringback.web.endpoint import OutcomeRouter
    from ringback.work.history import History, Waiting

    Content = CloudEvent | Iterable[CloudEvent] | bytes
    """An event, several events for one delivery, or a whole body."""

Bytes = bytes | bytearray | memoryview

PATIENCE = 10.0
"""Seconds that hooks may take."""


class HooksLate(RingbackError, TimeoutError):
    """Due hooks have not returned in time."""


class RouterUnknown(RingbackError):
    """The app made its router during a delivery, so the client could not see the delivery's outcomes."""


class CallbackClient:
    """Delivers events to ``path`` of an ASGI app, in the event loop of the test.

    ``path`` is a path, perhaps with a query, and no template. An ``issuer`` signs every delivery as Call Automation
    does, or as Event Grid does for its events. The test gets the exceptions that the app raises. ``async with client:``
    runs the app's start-up and shutdown around the block; without the block the client runs neither. ``router`` is the
    app's; without ``router`` the client listens to every router of this process that exists at the first request.

    What a hook raises does not go to the sender, and so not to the request: :meth:`hooks` raises it, or the end of the
    block.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        path: str = "/api/callbacks",
        issuer: Issuer | None = None,
        headers: Headers | None = None,
        router: OutcomeRouter | None = None,
    ) -> None:
        refuse_no_asgi(app)
        self.app = app
        self.path = checked_path(path)
        self.issuer = issuer
        self.headers = dict(headers or {})
        # The engines with the event loops that they work in: an adapter for WSGI has a loop of its own.
        self._engines: WeakKeyDictionary[Engine, asyncio.AbstractEventLoop] = WeakKeyDictionary()
        self._routers: tuple[OutcomeRouter, ...] = () if router is None else (checked_router(router),)
        self._router_is_given = router is not None
        self._lifespan: Lifespan | None = None
        # A bridge to WSGI may lose the context, and then the request is unknown.
        self._failures = Failures(lambda: (request := _request.get()) is None or request.client is self)

    async def deliver(self, *events: Content, path: str | None = None, headers: Headers | None = None) -> Reply:
        """POST one delivery. Several events make one request, though no recording of the service has such a request.

        ``headers`` are added to the client's own. The value ``None`` removes a header, such as ``authorization``. Bytes
        are the whole body, also if they are empty. Raises :class:`ConfigurationError` for bytes beside anything else,
        and for what is neither an event nor bytes.
        """
        content = batch(*(item for item in events if not isinstance(item, Bytes)))
        bodies = [bytes(item) for item in events if isinstance(item, Bytes)]
        if bodies and len(events) > 1:
            raise ConfigurationError(
                f"one delivery is one body or events, not {len(events)} things with bytes among them"
            )
        body = bodies[0] if bodies else delivery(content)
        return await self.request("POST", path, body, merged(self._headers(content), self.headers, headers or {}))

    async def request(
        self, method: str, path: str | None = None, body: bytes = b"", headers: Headers | None = None
    ) -> Reply:
        """Make any request, such as the OPTIONS of a handshake, with these headers, a host and a content length.

        Raises :class:`NoAnswer` if the app returns without a whole response.
        """
        captured: list[Outcome] = []
        deliveries: list[Sequence[Event]] = []
        this_request = _Request(self)

        def listener_of(router: OutcomeRouter) -> Listener:
            def listener(events: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
                # A bridge to WSGI may lose the context, and then the request is unknown. A router that includes another
                # one and the included router notify their listeners of the same delivery.
                if _request.get() in (None, this_request) and not any(events is known for known in deliveries):
                    deliveries.append(events)
                    captured.extend(outcomes)
                    self._failures.delivered.update(outcome.outcome_id for outcome in outcomes)
                    self._engines[router.engine] = asyncio.get_running_loop()

            return listener

        self._routers = self._routers or routers_of_this_process()
        exchange = Exchange(body)
        scope = scope_of(method, self.path if path is None else path, headers or {}, body)
        if self._lifespan is not None:
            scope["state"] = self._lifespan.state.copy()
        token = _request.set(this_request)
        try:
            with listening(self._routers, listener_of):
                await self.app(scope, exchange.receive, exchange.send)
        finally:
            _request.reset(token)
        reply = exchange.reply(tuple(captured))
        if method == "POST" and reply.status < 300:
            self._refuse_new_routers()
        return reply

    async def hooks(self, timeout: float = PATIENCE) -> None:
        """Return when every due hook of the deliveries has run, and every due hook that follows from these hooks.

        The end of a call is due at once, without the settle time. A router with a ``store`` waits for the settle time,
        because other processes may share the store: give such a router ``settle=0`` in tests. Retries and redials of
        the future are not due; a later call runs those whose time has come. Raises :class:`HooksLate` after ``timeout``
        seconds, and :class:`HooksFailed` with what hooks, redials, listeners and error handlers have raised, also if a
        hook is to be tried again. A hook that raises ``Retry`` has not failed.
        """
        late: HooksLate | None = None
        try:
            async with asyncio.timeout(timeout):
                for engine, loop in tuple(self._engines.items()):
                    if loop.is_running() and loop is not asyncio.get_running_loop():
                        done = asyncio.run_coroutine_threadsafe(self._done(engine.dispatcher, timeout), loop)
                        await asyncio.wrap_future(done)
                    else:
                        await self._done_here(engine.dispatcher, loop, timeout)
        except HooksLate as error:
            late = error
        except TimeoutError:
            late = HooksLate(f"hooks have not returned within {timeout:g} seconds")
        failed = self._failed()
        if late is not None:
            raise late from failed
        if failed is not None:
            raise failed

    async def __aenter__(self) -> Self:
        self._lifespan = Lifespan(self.app)
        await self._lifespan.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._lifespan is not None
        faults: list[Exception] = []
        try:
            await self._lifespan.stop()
        except Exception as fault:
            faults.append(fault)
        self._lifespan = None
        failed = self._failed()
        if failed is not None:
            faults.append(failed)
        if error is not None:
            # The test fails by its own error, which tells of the others.
            _note(error, faults)
        elif faults:
            _note(faults[0], faults[1:])
            raise faults[0]

    async def _done_here(self, dispatcher: Dispatcher, loop: asyncio.AbstractEventLoop, timeout: float) -> None:
        """Wait in the running loop. What a closed loop has left, this loop works on."""
        if loop is not asyncio.get_running_loop():
            if not loop.is_closed():
                stats = await dispatcher.store.stats()
                if stats.ready or stats.running:
                    raise HooksLate("hooks wait in an event loop that does not run; run it, or call hooks() there")
                return
            await dispatcher.start()
        await self._done(dispatcher, timeout)

    async def _done(self, dispatcher: Dispatcher, timeout: float) -> None:
        if dispatcher.store.durable:
            await self._idle(dispatcher.store.history)
        memory = dispatcher.in_memory
        if memory is not None:
            # An earlier call has drained and so stopped the worker. What was not due then may be due now.
            memory._work_here()  # pyright: ignore[reportPrivateUsage]
            # The drain is longer than the client's wait, so that a late hook fails the test. A drain that ends first
            # would give the hook up silently.
            await memory.drain(2 * timeout)

    async def _idle(self, history: History) -> None:
        """Wait until no item of this client's deliveries is due. The client cannot shorten the settle time of a store.

        A store on a disk may have items of an earlier run, and of tests that have left theirs.
        """
        while True:
            waiting = [each for kind in Kind for each in await history.waiting(kind, _MOST)]
            if not any(self._is_due(each) for each in waiting):
                return
            await asyncio.sleep(_STEP)

    def _is_due(self, item: Waiting) -> bool:
        if item.outcome is None or item.outcome.outcome_id not in self._failures.delivered:
            return False
        settles = item.kind is Kind.OUTCOME and not item.attempts
        return settles or item.state is State.RUNNING or item.due_at <= time.time()

    def _failed(self) -> HooksFailed | None:
        return self._failures.take([engine.log for engine in self._engines])

    def _refuse_new_routers(self) -> None:
        """Raise :class:`RouterUnknown` if no known router has had a delivery, and the app has made another router.

        Frameworks such as Django import an app's routes with the first request.
        """
        if self._router_is_given or self._engines:
            return
        known, self._routers = self._routers, routers_of_this_process()
        if any(router not in known for router in self._routers):
            raise RouterUnknown(
                "the app made its router during this delivery, whose outcomes are unknown now; name the router "
                "(router=...), import the app's routes before, or make another request first"
            )

    def _headers(self, content: Sequence[CloudEvent]) -> Headers:
        from_grid = bool(content) and is_grid_event(content[0])
        own = grid_headers(content[0]) if from_grid else {"content-type": "application/json"}
        if self.issuer is not None:
            token = self.issuer.grid_token() if from_grid else self.issuer.token()
            own["authorization"] = f"Bearer {token}"
        return own


def _note(error: BaseException, faults: Sequence[Exception]) -> None:
    for fault in faults:
        error.add_note(f"At the end of the block also:\n{''.join(format_exception(fault))}")


@dataclass(frozen=True, eq=False)
class _Request:
    """One request of a client."""

    client: CallbackClient


_request: ContextVar[_Request | None] = ContextVar("ringback_testing_request", default=None)
_STEP = 0.01
_MOST = 100_000
"""Items that a store has at most, by default."""
