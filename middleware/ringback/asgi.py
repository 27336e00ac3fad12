"""The middleware: stands before any ASGI app's callback route. Starlette types only."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from starlette.responses import Response
from starlette.routing import compile_path

from ringback import logs
from ringback.dispatch import SETTLE, Dispatcher, OnStoreFailure
from ringback.entrance import Entrance
from ringback.events import MAX_BODY, MAX_EVENTS
from ringback.exceptions import ConfigurationError, StoreError
from ringback.gate import MAX_HEADERS, UNSET, Gate, Unset
from ringback.intake import Intake, Reply, too_large, too_slow
from ringback.router import HandlerRouter
from ringback_catalog import Catalog

if TYPE_CHECKING:
    import re
    from collections.abc import Awaitable, Collection, Generator, Iterable, Iterator, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ringback.auth import Check
    from ringback.entrance import Admission
    from ringback.hooks import HookPolicy
    from ringback.observer import Gauge
    from ringback.stores import DeliveryStore

DRAIN = 20.0
"""Seconds that hooks get to finish when the server shuts down."""

BODY_TIMEOUT = 10.0
"""Seconds that a sender may take for the body; Event Grid gives up after 30 by itself."""


class CallOutcomeMiddleware:
    """Classifies the events POSTed to ``path``, hands them on with the untouched request, then calls the hooks.

    ``path`` is one template or several as in Starlette (``/api/callbacks/{context_id}``); every
    other request, and every other scope, passes through. The route finds the outcomes in
    ``request.state.call_outcomes``. Hooks run after its response, whatever that was; a delivery
    that is none is answered here with 400, 413 or 415 as problem+json, and Event Grid's
    handshakes with 200. Raises :class:`ConfigurationError` for settings that cannot work.

    ``auth`` checks the sender before anything of the body is read: a verifier, or several of
    which one must agree. A sender that is refused gets 401, or 503 while the keys that would tell
    cannot be had. ``None`` accepts every sender; left out, it does so with a warning.

    ``store`` keeps outcomes through crashes: ``"sqlite:///ringback.db"``, ``"postgresql://..."``, or a store.
    They are then persisted before the route is called, and while the store cannot be used the
    sender gets 503, unless ``on_store_failure`` is ``"inline"``. ``hooks`` says how often and for how long
    hooks are tried; ``worker=False`` leaves them to ``ringback worker``. ``telemetry`` is a
    :class:`ringback.telemetry.Telemetry`; without it nothing is measured.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        router: HandlerRouter,
        path: str | Sequence[str],
        catalog: Catalog | None = None,
        settle: float = SETTLE,
        drain: float = DRAIN,
        auth: Check | Collection[Check] | Unset | None = UNSET,
        max_body: int = MAX_BODY,
        max_events: int = MAX_EVENTS,
        max_depth: int | None = None,
        max_headers: int = MAX_HEADERS,
        body_timeout: float = BODY_TIMEOUT,
        store: str | DeliveryStore | None = None,
        hooks: HookPolicy | None = None,
        on_store_failure: OnStoreFailure = "refuse",
        worker: bool = True,
        telemetry: Gauge | None = None,
    ) -> None:
        if not isinstance(router, HandlerRouter):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"router {router!r} is no OutcomeRouter; pass router=OutcomeRouter()")
        for name, seconds in (("settle", settle), ("drain", drain), ("body_timeout", body_timeout)):
            refuse_negative(name, seconds)
        self.app = app
        paths = [path] if isinstance(path, str) else list(path)
        self._paths = [_compiled(each) for each in paths]
        self._literal = frozenset(each for each in paths if "{" not in each)
        if not self._paths:
            raise ConfigurationError("path names no path; give the callback route's, such as '/api/callbacks'")
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
        self._body_timeout = body_timeout
        gate = Gate(auth, max_headers)
        self._hides = gate.hides
        intake = Intake(catalog or Catalog.default(), max_body, max_events, max_depth)
        self._entrance = Entrance(router, self._dispatcher, intake, gate, telemetry)
        self._entrance.warn()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] != "http" or not self._concerns(scope):
            await self.app(scope, receive, send)
        elif (admission := self._entrance.admitted(scope)) is not None:
            # Nearly every delivery, if there is no `auth`: nothing to wait for, nothing to measure, nothing to hide.
            await self._deliver(admission, scope, receive, send)
        elif self._hides:
            try:
                await self._handle(scope, receive, self._hiding(scope, send))
            finally:
                # A route that raises has sent nothing: the answer to that, and its log line, are made further out.
                self._entrance.hide(scope)
        else:
            await self._handle(scope, receive, send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        admission = await self._entrance.admit(scope)
        if admission is None:
            await self.app(scope, receive, send)
        elif isinstance(admission, Reply):
            await response(admission)(scope, receive, send)
        else:
            try:
                with self._entrance.measured(admission):
                    await self._deliver(admission, scope, receive, send)
            finally:
                self._entrance.done(admission)

    def _concerns(self, scope: Scope) -> bool:
        path: str = scope["path"]
        root: str = scope.get("root_path", "")
        if root and path.startswith(f"{root.rstrip('/')}/"):
            path = path[len(root.rstrip("/")) :]
        if path in self._literal:
            return True
        # Also for those: a pattern takes a line feed at the end, and so does Starlette's route.
        for pattern in self._paths:  # noqa: SIM110 - every request of the app comes by here
            if pattern.match(path):
                return True
        return False

    async def _deliver(self, admission: Admission, scope: Scope, receive: Receive, send: Send) -> None:
        entrance = self._entrance
        body: bytes | Reply | None
        try:
            message = _at_once(receive())
            if isinstance(message, _Begun) or message.get("more_body") or message["type"] != "http.request":
                async with asyncio.timeout(self._body_timeout or None):
                    first = await message if isinstance(message, _Begun) else message
                    body = await _read(first, receive, admission.max_body)
            else:
                # Mostly all of the body is there already: then there is nothing to wait for, and no time to limit.
                came: bytes = message.get("body", b"")
                body = came if len(came) <= admission.max_body else too_large(admission.max_body)
        except TimeoutError:
            body = too_slow(self._body_timeout)
        if body is None:
            # There is nobody to answer and nothing whole to pass on.
            entrance.interrupted(admission)
            return
        received = entrance.decide(admission, body)
        if isinstance(received, Reply):
            await response(received)(scope, receive, send)
            return
        assert isinstance(body, bytes)
        bound, written = entrance.prepared(received)
        if not entrance.follows:
            try:
                await entrance.persist(received)
            except StoreError as error:
                await response(entrance.unpersisted(admission, error))(scope, receive, send)
                return
        with bound:
            entrance.tell(admission, received, body, written)
            state = scope.get("state")
            if state is None:
                # Azure Functions' middleware may give a scope whose state is None.
                state = scope["state"] = {}
            state["call_outcomes"] = received.outcomes
            try:
                await self.app(scope, replayed(body, receive), send)
            finally:
                if entrance.follows and not entrance.heard(received):
                    await entrance.follow(received)

    def _hiding(self, scope: Scope, send: Send) -> Send:
        async def hiding(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._entrance.hide(scope)
            await send(message)

        return hiding

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Work from when the app has started until it is to stop: hooks may use what it opens and closes.

        With a store, what the app leaves unanswered is answered here: not every app knows the protocol.
        """
        life = _Life(self._dispatcher, self._drain, receive, send)
        try:
            await self.app(scope, life.receive, life.send)
        except Exception:
            if life.heard or not self._dispatcher.durable:
                await life.refuse()
                raise
        if self._dispatcher.durable:
            await life.finish()


class _Life:
    """The lifespan protocol between a server and an app, with the dispatcher's life inside the app's."""

    def __init__(self, dispatcher: Dispatcher, drain: float, receive: Receive, send: Send) -> None:
        self._dispatcher = dispatcher
        self._drain = drain
        self._receive = receive
        self._send = send
        self._unanswered: str | None = None
        self._fault: StoreError | None = None
        self._over = False
        self.heard = False

    async def receive(self) -> Message:
        self.heard = True
        if self._fault is not None:
            # It has started for nothing, and is to close what it has opened.
            return {"type": "lifespan.shutdown"}
        message = await self._receive()
        self._unanswered = message["type"]
        if self._unanswered == "lifespan.shutdown":
            await self._dispatcher.drain(self._drain)
        return message

    async def send(self, message: Message) -> None:
        if self._fault is not None:
            return
        if message["type"] == "lifespan.startup.complete":
            try:
                await self._dispatcher.start()
            except StoreError as error:
                # The server ends when it hears of this: the app comes first.
                self._fault = error
                return
        self._unanswered = None
        self._over = message["type"] != "lifespan.startup.complete"
        await self._send(message)

    async def finish(self) -> None:
        """Go on for an app that has ended, until the server has its last answer."""
        while self._fault is None and not self._over:
            if self._unanswered is None:
                await self.receive()
            else:
                await self.send({"type": f"{self._unanswered}.complete"})
        await self.refuse()

    async def refuse(self) -> None:
        """Tell the server if the store cannot work."""
        if self._fault is not None:
            await self._send({"type": "lifespan.startup.failed", "message": str(self._fault)})


def refuse_negative(name: str, seconds: float) -> None:
    if seconds < 0:
        raise ConfigurationError(f"{name} {seconds!r} is negative; give seconds, 0 for none")


def _compiled(path: str) -> re.Pattern[str]:
    try:
        pattern, _, _ = compile_path(path)
    except (AssertionError, ValueError) as error:
        raise ConfigurationError(f"path {path!r} is no path template: {error}") from error
    if not path.startswith("/"):
        raise ConfigurationError(f"path {path!r} does not start with '/'; write '/{path}'")
    return pattern


def _at_once(awaitable: Awaitable[Message]) -> Message | _Begun:
    """What awaiting returns if that needs no pause."""
    # A coroutine made of a generator is one without saying so.
    try:
        steps: Iterator[Any] = awaitable.__await__()
    except AttributeError:
        steps = iter(cast("Iterable[Any]", awaitable))
    try:
        return _Begun(next(steps), steps)
    except StopIteration as arrived:
        message: Message = arrived.value
        return message


class _Begun:
    """The rest of something that was awaited as far as its first pause: that pause again, then what follows it.

    All but the first step is the thing's own, so that it hears of a cancellation as if nobody stood between.
    """

    __slots__ = ("_pause", "_steps")

    def __init__(self, pause: Any, steps: Iterator[Any]) -> None:
        self._pause = [pause]
        self._steps = steps

    def __await__(self) -> Generator[Any, Any, Message]:
        return cast("Generator[Any, Any, Message]", self)

    def __next__(self) -> Any:
        return self._pause.pop() if self._pause else next(self._steps)

    def __getattr__(self, name: str) -> Any:
        # `send`, `throw` and `close`, if it has them: not everything that can be awaited does.
        return getattr(self._steps, name)


async def _read(message: Message, receive: Receive, limit: int) -> bytes | Reply | None:
    """The whole body, ``None`` if the sender left, a reply as soon as it is known to have more than ``limit`` bytes."""
    chunks: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            return None
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            return too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        message = await receive()


def replayed(body: bytes, receive: Receive) -> Receive:
    """The body once more for the route, then whatever the server says next."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


def response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(reply.headers))
