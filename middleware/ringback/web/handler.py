"""The door without a framework: the app gives bytes and headers, and gets a reply or outcomes for its own route."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Self, Unpack, cast

from ringback import logs
from ringback.core.events import raw_body
from ringback.receiving.exchange import Admitted, Exchange, Found, Receiver
from ringback.receiving.replies import Reply, not_allowed
from ringback.settings import DOOR, Door, refuse_late

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from ringback.core.outcome import Outcome
    from ringback.receiving.background_loop import BackgroundLoop
    from ringback.receiving.exchange import Body
    from ringback.receiving.intake import Received
    from ringback.settings import DoorSettings
    from ringback.web.endpoint import OutcomeRouter

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
"""The headers of a request: names in any case, with values. Only pairs can repeat a name."""

_SETTINGS = ("router", *DOOR)


class CallbackHandler:
    """Handles callbacks for a program that has their bytes: ``reply = await handler.handle(body, headers)``.

    The settings are those of a door, see :class:`ringback.settings.DoorSettings`. A program with a route awaits
    :meth:`receive`, runs the route inside :meth:`route`, and sends the route's answer; :meth:`exchange` also verifies
    the sender before the program reads the body. The program awaits :meth:`start` and :meth:`drain`; a program without
    an event loop uses :attr:`sync`. One event loop uses a handler. Raises :class:`ConfigurationError` for settings that
    cannot work.
    """

    def __init__(self, router: OutcomeRouter, **door: Unpack[DoorSettings]) -> None:
        # The program runs the route, perhaps in another thread, so the delivery's span ends before the route.
        self._receiver = Receiver(router, Door.of(door), measures_route=False)

    def __setattr__(self, name: str, value: object) -> None:
        refuse_late(name, _SETTINGS, "CallbackHandler")
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        return f"CallbackHandler({self._receiver.router!r})"

    async def handle(
        self, body: bytes, headers: Headers, *, method: str = "POST", path: str = "/", query: str = ""
    ) -> Reply:
        """Handle a request, and give the answer to its sender. ``path`` and ``query`` are those of the request's URL.

        The answer is 200 with ``outcomes`` for a delivery, 200 for a handshake, the middleware's answer to a request
        that Ringback refuses, and 405 for other methods. Never raises for bad input.
        """
        received = await self.receive(body, headers, method=method, path=path, query=query)
        if isinstance(received, Reply):
            return received
        await self.accept(received)
        return Reply(200, b"", (), "accepted", outcomes=received.outcomes)

    async def receive(
        self, body: bytes, headers: Headers, *, method: str = "POST", path: str = "/", query: str = ""
    ) -> Received | Reply:
        """Verify, classify, persist and log a delivery. Gives the delivery, or the answer to what is no delivery.

        The hooks follow, whatever becomes of the program's route.
        """
        exchange = self.exchange(headers, method=method, path=path, query=query)
        found: Found = await exchange.admit(bool(body))
        if found is Admitted.READ_BODY:
            found = await exchange.take(raw_body(body))
        if isinstance(found, Reply):
            return found
        return not_allowed() if found is Admitted.PASS_ON else exchange.received

    def exchange(self, headers: Headers, *, method: str = "POST", path: str = "/", query: str = "") -> Exchange:
        """The exchange of a request whose body is not read yet, see :class:`ringback.receiving.exchange.Exchange`."""
        scope: dict[str, Any] = {
            "method": method.upper(),
            "path": path,
            "query_string": query.encode("latin-1", "replace"),
            "headers": [(_octets(name.lower()), _octets(value)) for name, value in _pairs(headers)],
            "http_version": "",
        }
        return Exchange(self._receiver, scope)

    async def accept(self, received: Received) -> None:
        """Let the hooks of operations run, because the program has answered. Else they wait for the settle time."""
        await self._receiver.engine.dispatcher.hasten(received.early)

    @asynccontextmanager
    async def route(self, received: Received) -> AsyncGenerator[None]:
        """``async with handler.route(received)``: log lines inside have the call's ids; it ends with :meth:`accept`."""
        with logs.bound_ids(received.delivery.events):
            try:
                yield
            finally:
                await self.accept(received)

    def hide(self, text: str) -> str:
        """A URL, or a part of a URL, without shared secrets, for a log."""
        return self._receiver.gate.hidden(text)

    def hide_in(self, scope: Any) -> None:
        """Take shared secrets out of the URL of an ASGI scope, after the route and before the server logs the scope."""
        self._receiver.gate.hide(scope)

    async def start(self) -> None:
        """Begin to work on the items in the store. Raises :class:`StoreError` for a store that cannot work."""
        await self._receiver.engine.start()

    async def drain(self, timeout: float | None = None) -> None:
        """Let due hooks run for ``timeout`` seconds, by default the router's setting ``drain``, and stop."""
        await self._receiver.engine.drain(timeout)

    @functools.cached_property
    def sync(self) -> SyncHandler:
        """This handler for code without ``async``, in any number of threads. A program uses one of the two."""
        return SyncHandler(self, self._receiver)


class SyncHandler:
    """A :class:`CallbackHandler` with an event loop in a thread of its own, one for each process and each router.

    The first delivery or :meth:`start` starts the loop; the process's normal exit or :meth:`drain` drains the hooks and
    ends the loop, for all handlers of the router. A program may call every method from any thread that runs no event
    loop.
    """

    def __init__(self, handler: CallbackHandler, receiver: Receiver) -> None:
        self._handler = handler
        self._receiver = receiver
        self.hide = handler.hide

    @property
    def _loop(self) -> BackgroundLoop:
        # For each call: another router may include the handler's at any time, and the engine is that router's then.
        return self._receiver.engine.background

    def handle(self, body: bytes, headers: Headers, *, method: str = "POST", path: str = "/", query: str = "") -> Reply:
        return self._loop.run(self._handler.handle(body, headers, method=method, path=path, query=query))

    def receive(
        self, body: bytes, headers: Headers, *, method: str = "POST", path: str = "/", query: str = ""
    ) -> Received | Reply:
        return self._loop.run(self._handler.receive(body, headers, method=method, path=path, query=query))

    def exchange(self, headers: Headers, *, method: str = "POST", path: str = "/", query: str = "") -> SyncExchange:
        """See :meth:`CallbackHandler.exchange`."""
        return SyncExchange(self._handler.exchange(headers, method=method, path=path, query=query), self._loop)

    def accept(self, received: Received) -> None:
        self._loop.run(self._handler.accept(received))

    @contextmanager
    def route(self, received: Received) -> Generator[None]:
        """See :meth:`CallbackHandler.route`."""
        with logs.bound_ids(received.delivery.events):
            try:
                yield
            finally:
                self.accept(received)

    def start(self) -> None:
        """Start the loop and the work before the first delivery. Raises :class:`StoreError` for a broken store."""
        self._loop.run(self._handler.start())

    def drain(self, timeout: float | None = None) -> None:
        """See :meth:`CallbackHandler.drain`; also ends the thread."""
        self._loop.stop(functools.partial(self._handler.drain, timeout))


class SyncExchange:
    """An :class:`Exchange` for code without ``async``: ``loop`` runs the coroutines of the verbs in another thread."""

    def __init__(self, exchange: Exchange, loop: BackgroundLoop) -> None:
        self._exchange = exchange
        self._loop = loop
        self.max_body = exchange.max_body

    def admit(self, has_body: bool | None = None) -> Reply | Admitted:
        """See :meth:`Exchange.admit`."""
        return self._loop.run(self._exchange.admit(has_body))

    def take(self, body: Body) -> Reply | tuple[Outcome, ...]:
        """See :meth:`Exchange.take`."""
        return self._loop.run(self._exchange.take(body))

    def __enter__(self) -> Self:
        """The caller runs the route inside, in this thread."""
        self._exchange.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._exchange.__exit__(*raised)


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    # A type checker takes a mapping for an iterable as well, perhaps of pairs, so the cast names the mapping.
    return list(cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers)


def _octets(text: str) -> bytes:
    return text.encode("latin-1", "replace")
