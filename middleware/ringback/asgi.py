"""The middleware: stands before any ASGI app's callback route. Starlette types only."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import compile_path

from ringback import logs
from ringback.dispatch import SETTLE, Dispatcher
from ringback.events import MAX_BODY, MAX_EVENTS
from ringback.exceptions import ConfigurationError
from ringback.gate import MAX_HEADERS, UNSET, Gate, Unset
from ringback.intake import Intake, Reply, consent, too_large, too_slow
from ringback.router import HandlerRouter
from ringback_catalog import Catalog

if TYPE_CHECKING:
    import re
    from collections.abc import Collection, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ringback.auth import Check

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
    ) -> None:
        if not isinstance(router, HandlerRouter):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"router {router!r} is no OutcomeRouter; pass router=OutcomeRouter()")
        for name, seconds in (("settle", settle), ("drain", drain), ("body_timeout", body_timeout)):
            refuse_negative(name, seconds)
        self.app = app
        self._paths = [_compiled(each) for each in ([path] if isinstance(path, str) else path)]
        if not self._paths:
            raise ConfigurationError("path names no path; give the callback route's, such as '/api/callbacks'")
        self._intake = Intake(catalog or Catalog.default(), max_body, max_events, max_depth)
        self._dispatcher = Dispatcher(router, logs.LogObserver(), settle=settle)
        self._drain = drain
        self._gate = Gate(auth, max_headers)
        self._body_timeout = body_timeout
        if self._gate.unverified:
            logs.callbacks_unverified()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, self._draining(receive), send)
        elif scope["type"] != "http" or not self._concerns(scope):
            await self.app(scope, receive, send)
        elif self._gate.hides:
            try:
                await self._handle(scope, receive, self._hiding(scope, send))
            finally:
                # A route that raises has sent nothing: the answer to that, and its log line, are made further out.
                self._gate.hide(scope)
        else:
            await self._handle(scope, receive, send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            await self._deliver(scope, receive, send)
        else:
            reply = await self._consent(scope) if scope["method"] == "OPTIONS" else None
            if reply is None:
                await self.app(scope, receive, send)
            else:
                await _answer(reply, scope, receive, send)

    def _concerns(self, scope: Scope) -> bool:
        path: str = scope["path"]
        root: str = scope.get("root_path", "")
        if root and path.startswith(f"{root.rstrip('/')}/"):
            path = path[len(root.rstrip("/")) :]
        return any(pattern.match(path) for pattern in self._paths)

    async def _consent(self, scope: Scope) -> Reply | None:
        """The answer to the CloudEvents handshake, which carries no token; ``None`` if it is none."""
        reply = consent(Headers(scope=scope))
        if reply is None:
            return None
        denied = await self._gate.denied(scope)
        return reply if denied is None or self._gate.may_handshake(scope) else denied

    async def _deliver(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        denied = await self._gate.denied(scope)
        if denied is not None and not self._gate.may_handshake(scope):
            await _answer(denied, scope, receive, send)
            return
        body = await self._body(headers, receive)
        if body is None:
            # The sender went away; there is nobody to answer and nothing whole to pass on.
            if denied is None:
                logs.sender_disconnected()
            else:
                logs.answered(denied)
            return
        received = self._intake.receive(headers, body, denied)
        if isinstance(received, Reply):
            await _answer(received, scope, receive, send)
            return
        assert isinstance(body, bytes)
        with logs.bound_ids(received.delivery.events):
            logs.received(received)
            scope.setdefault("state", {})["call_outcomes"] = received.outcomes
            try:
                await self.app(scope, replayed(body, receive), send)
            finally:
                self._dispatcher.submit(received.outcomes)

    async def _body(self, headers: Headers, receive: Receive) -> bytes | Reply | None:
        try:
            async with asyncio.timeout(self._body_timeout or None):
                return await _read(headers, receive, self._intake.max_body)
        except TimeoutError:
            return too_slow(self._body_timeout)

    def _hiding(self, scope: Scope, send: Send) -> Send:
        async def hiding(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._gate.hide(scope)
            await send(message)

        return hiding

    def _draining(self, receive: Receive) -> Receive:
        """Let the hooks finish before the app hears of the shutdown and closes what they use."""

        async def draining() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._dispatcher.drain(self._drain)
            return message

        return draining


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


async def _read(headers: Headers, receive: Receive, limit: int) -> bytes | Reply | None:
    """The whole body, ``None`` if the sender left, a reply as soon as it is known to have more than ``limit`` bytes."""
    # By its length first: Python refuses to read a number of thousands of digits.
    announced = headers.get("content-length", "").lstrip("0")
    if announced.isdecimal() and (len(announced) > len(str(limit)) or int(announced) > limit):
        return too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            return too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def replayed(body: bytes, receive: Receive) -> Receive:
    """The body once more for the route, then whatever the server says next."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


async def _answer(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    logs.answered(reply)
    await Response(reply.body, reply.status, dict(reply.headers))(scope, receive, send)
