"""The way in without a framework: bytes and headers come, a reply goes, and a route of yours may run between."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ringback import logs
from ringback.asgi import DRAIN, refuse_negative
from ringback.background import BackgroundLoop
from ringback.dispatch import SETTLE, Dispatcher, OnStoreFailure
from ringback.entrance import Admission, Entrance
from ringback.events import MAX_BODY, MAX_EVENTS
from ringback.exceptions import ConfigurationError, StoreError
from ringback.gate import MAX_HEADERS, UNSET, Gate, Unset
from ringback.intake import Intake, Received, Reply, not_allowed
from ringback.router import HandlerRouter
from ringback_catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Generator

    from ringback.auth import Check
    from ringback.hooks import HookPolicy
    from ringback.observer import Gauge
    from ringback.stores import DeliveryStore

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
"""Names in any case. Pairs where a name may be repeated."""

Found = Admission | Received | Reply | None
"""What becomes of a request on its way to a route; ``None`` for one that is the route's own."""

T = TypeVar("T")


class CallbackHandler:
    """Handles callbacks for anything that has their bytes: ``reply = await handler.handle(body, headers)``.

    The settings mean what they mean for :class:`CallOutcomeMiddleware`, ``drain`` too. With a route of your own
    between, await :meth:`receive`, run the route inside :meth:`route`, and answer what it answers. Await
    :meth:`start` and :meth:`drain` with your program; :attr:`sync` does without a loop of yours.
    Use it from one event loop. Raises :class:`ConfigurationError` for settings that cannot work.
    """

    def __init__(
        self,
        router: HandlerRouter,
        *,
        catalog: Catalog | None = None,
        settle: float = SETTLE,
        drain: float = DRAIN,
        auth: Check | Collection[Check] | Unset | None = UNSET,
        max_body: int = MAX_BODY,
        max_events: int = MAX_EVENTS,
        max_depth: int | None = None,
        max_headers: int = MAX_HEADERS,
        store: str | DeliveryStore | None = None,
        hooks: HookPolicy | None = None,
        on_store_failure: OnStoreFailure = "refuse",
        worker: bool = True,
        telemetry: Gauge | None = None,
    ) -> None:
        if not isinstance(router, HandlerRouter):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"router {router!r} is no OutcomeRouter; pass OutcomeRouter()")
        refuse_negative("settle", settle)
        refuse_negative("drain", drain)
        self._dispatcher = Dispatcher(
            router,
            logs.LogObserver(),
            store=store,
            settle=settle,
            hooks=hooks,
            on_store_failure=on_store_failure,
            worker=worker,
            telemetry=telemetry,
        )
        self._drain = drain
        self._gate = Gate(auth, max_headers)
        intake = Intake(catalog or Catalog.default(), max_body, max_events, max_depth)
        self._entrance = Entrance(router, self._dispatcher, intake, self._gate, telemetry)

    async def handle(
        self, body: bytes, headers: Headers, *, method: str = "POST", path: str = "/", query: str = ""
    ) -> Reply:
        """Do everything there is to do with a request, and say what to answer.

        200 with ``outcomes`` for a delivery and without for a handshake; else as the middleware answers,
        and 405 for what is neither. Never raises for bad input.
        """
        received = await self.receive(body, headers, method=method, path=path, query=query)
        if isinstance(received, Reply):
            return received
        await self.accept(received)
        return Reply(200, b"", (), "accepted", outcomes=received.outcomes)

    async def receive(
        self, body: bytes, headers: Headers, *, method: str = "POST", path: str = "/", query: str = ""
    ) -> Received | Reply:
        """The delivery, verified, classified, logged and persisted, or what to answer instead of handling it."""
        admission = await self.admit(headers, method=method, path=path, query=query)
        if isinstance(admission, Admission):
            return await self.take(admission, body)
        return not_allowed() if admission is None else admission

    async def admit(
        self, headers: Headers, *, method: str = "POST", path: str = "/", query: str = ""
    ) -> Admission | Reply | None:
        """The first half of :meth:`receive`, before the body is read; ``None`` for a method that delivers nothing."""
        scope: dict[str, Any] = {
            "method": method.upper(),
            "path": path,
            "query_string": query.encode("latin-1", "replace"),
            "headers": [(_octets(name.lower()), _octets(value)) for name, value in _pairs(headers)],
        }
        return await self._entrance.admit(scope)

    async def take(self, admission: Admission, body: bytes | Reply) -> Received | Reply:
        """The second half of :meth:`receive`; a reply in place of the body is what could be had of it."""
        try:
            return await self._entrance.take(admission, body)
        finally:
            # The route is somebody else's, perhaps in another thread: it is not measured.
            self._entrance.done(admission)

    async def accept(self, received: Received) -> None:
        """Let the hooks follow; call it once after your own code, also if that raised. :meth:`route` does."""
        await self._entrance.accept(received)

    def route(self, received: Received) -> AbstractAsyncContextManager[None]:
        """``async with handler.route(received)``: inside, log lines carry the call's ids; then the hooks follow."""
        return self._entrance.route(received)

    def hide(self, text: str) -> str:
        """A URL or a part of it without shared secrets, for a log."""
        return self._gate.hidden(text)

    def hide_in(self, scope: Any) -> None:
        """The same for an ASGI scope that a server will log; do it when the route has run."""
        self._gate.hide(scope)

    async def start(self) -> None:
        """Begin to work on what waits in the store. Raises :class:`StoreError` for one that cannot work."""
        await self._dispatcher.start()

    async def drain(self, timeout: float | None = None) -> None:
        """Give the hooks that are due ``timeout`` seconds, by default the setting ``drain``; for the end."""
        await self._dispatcher.drain(self._drain if timeout is None else timeout)

    @functools.cached_property
    def sync(self) -> SyncHandler:
        """This handler for code without ``async``, in any number of threads; do not use both."""
        return SyncHandler(self)


class SyncHandler:
    """A :class:`CallbackHandler` whose loop runs in a thread in the background, one for each process.

    It starts with the first delivery, or with :meth:`start`, and drains at the process's normal exit, or with
    :meth:`drain`. Every method may be called from any thread that runs no event loop.
    """

    def __init__(self, handler: CallbackHandler) -> None:
        self._handler = handler
        self._loop = BackgroundLoop(self._begin, handler.drain)
        self.hide = handler.hide

    def handle(self, body: bytes, headers: Headers, *, method: str = "POST", path: str = "/", query: str = "") -> Reply:
        return self._run(self._handler.handle(body, headers, method=method, path=path, query=query))

    def receive(
        self, body: bytes, headers: Headers, *, method: str = "POST", path: str = "/", query: str = ""
    ) -> Received | Reply:
        return self._run(self._handler.receive(body, headers, method=method, path=path, query=query))

    def admit(
        self, headers: Headers, *, method: str = "POST", path: str = "/", query: str = ""
    ) -> Admission | Reply | None:
        # The pairs are read here: they may belong to a request that only this thread knows.
        pairs = _pairs(headers)
        return self._run(self._handler.admit(pairs, method=method, path=path, query=query))

    def take(self, admission: Admission, body: bytes | Reply) -> Received | Reply:
        return self._run(self._handler.take(admission, body))

    def accept(self, received: Received) -> None:
        self._run(self._handler.accept(received))

    @contextmanager
    def route(self, received: Received) -> Generator[None]:
        """As :meth:`CallbackHandler.route`."""
        with logs.bound_ids(received.delivery.events):
            try:
                yield
            finally:
                self.accept(received)

    def start(self) -> None:
        """Start before the first delivery. Raises :class:`StoreError` for a store that cannot work."""
        self._run(self._handler.start())

    def drain(self, timeout: float | None = None) -> None:
        """As :meth:`CallbackHandler.drain`, and end the thread."""
        self._loop.stop(functools.partial(self._handler.drain, timeout))

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._loop.run(coroutine)

    async def _begin(self) -> None:
        try:
            await self._handler.start()
        except StoreError as error:
            # Each delivery finds out again and is answered with 503; start() raises.
            logs.LogObserver().store_unavailable(error)


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    # Said with a cast: a mapping is an iterable, too, for a type checker perhaps of pairs.
    return list(cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers)


def _octets(text: str) -> bytes:
    return text.encode("latin-1", "replace")
