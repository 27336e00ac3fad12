"""The lifespan protocol between a server and an app: the engine starts after the app, and drains before the app stops.

A middleware with wrong settings ends the server's start with the reason.

Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from ringback.exceptions import ConfigurationError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ringback.receiving.engine import Engine

Init = TypeVar("Init", bound="Callable[..., None]")


async def run_lifespan(app: ASGIApp, engine: Engine, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the app's lifespan, and let the engine work from the app's start to its stop: hooks use what the app opens.

    With a store Ringback answers the server where the app does not, because not every app knows the protocol. What
    :meth:`Engine.check` raises ends the server's start.
    """
    try:
        engine.check()
    except ConfigurationError as error:
        # The app has not opened anything yet.
        await _fail_start(error, receive, send)
    lifespan = _Lifespan(engine, receive, send)
    try:
        await app(scope, lifespan.receive, lifespan.send)
    except Exception:
        if lifespan.app_began or not engine.durable:
            await lifespan.refuse()
            raise
    if engine.durable:
        await lifespan.finish()


class _Lifespan:
    """The ``receive`` and the ``send`` that an app gets in place of the server's."""

    def __init__(self, engine: Engine, receive: Receive, send: Send) -> None:
        self._engine = engine
        self._receive = receive
        self._send = send
        self._unanswered: str | None = None
        self._fault: StoreError | None = None
        self._over = False
        self.app_began = False
        """Whether the app knows the protocol, because the app has asked for a message."""

    async def receive(self) -> Message:
        self.app_began = True
        if self._fault is not None:
            # The server will not start, so the app is to close what the app has opened.
            return {"type": "lifespan.shutdown"}
        message = await self._receive()
        self._unanswered = message["type"]
        if self._unanswered == "lifespan.shutdown":
            await self._engine.drain()
        return message

    async def send(self, message: Message) -> None:
        if self._fault is not None:
            return
        if message["type"] == "lifespan.startup.complete":
            try:
                await self._engine.start()
            except StoreError as error:
                # The server ends after a failed start, so the app shuts down before the server gets the failure.
                self._fault = error
                return
        self._unanswered = None
        self._over = message["type"] != "lifespan.startup.complete"
        await self._send(message)

    async def finish(self) -> None:
        """Answer the server for an app that has returned, until the server has the last answer."""
        while self._fault is None and not self._over:
            if self._unanswered is None:
                await self.receive()
            else:
                await self.send({"type": f"{self._unanswered}.complete"})
        await self.refuse()

    async def refuse(self) -> None:
        """Send the server the failed start, if the store cannot work."""
        if self._fault is not None:
            await self._send({"type": "lifespan.startup.failed", "message": str(self._fault)})


def ends_the_start(init: Init) -> Init:
    """Decorate the ``__init__`` of an ASGI middleware, which raises :class:`ConfigurationError`.

    Starlette and FastAPI make the middleware of ``app.add_middleware`` in their first call, for the lifespan. A server
    takes an exception there for an app without lifespan: the server starts, and the app answers every request with 500.
    So there the object keeps the error, fails the lifespan with it, and raises it for each request of a server that
    runs no lifespan. Elsewhere ``__init__`` raises. An unknown setting, which is a :class:`TypeError`, counts as such
    an error. Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html#startup-failed-send-event
    """

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except (ConfigurationError, TypeError) as error:
            if not _is_made_late():
                raise
            self.__class__ = _Misconfigured
            self.error = error

    return cast("Init", checked)


class _Misconfigured:
    """Stands in place of the middleware, and lets no request through."""

    error: Exception

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> NoReturn:
        if scope["type"] == "lifespan":
            await _fail_start(self.error, receive, send)
        raise self.error


async def _fail_start(error: Exception, receive: Receive, send: Send) -> NoReturn:
    """Answer the server's start of the lifespan with the error, and raise it, as Starlette's test client expects."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
    raise error


def _is_made_late() -> bool:
    """Whether Starlette's or FastAPI's method that makes the middleware of an app is among the callers."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "build_middleware_stack":
            return True
        frame = frame.f_back
    return False
