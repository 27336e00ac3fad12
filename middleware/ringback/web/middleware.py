"""The middleware: one door in front of an ASGI app of any framework."""

from __future__ import annotations

import inspect
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Unpack

from ringback.exceptions import ConfigurationError
from ringback.hooks.signatures import handler_name
from ringback.receiving.exchange import Admitted, Exchange, Found, Receiver
from ringback.receiving.gate import NearMisses
from ringback.receiving.replies import Reply
from ringback.receiving.target import GuardedPaths, canonical_method, root_path
from ringback.settings import DOOR, Door, refuse_late
from ringback.web.body import BodyReader, PeekedReceive, replayed, response
from ringback.web.lifespan import ends_the_start, run_lifespan
from ringback.web.state import give_outcomes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ringback.settings import DoorSettings
    from ringback.web.endpoint import OutcomeRouter


class CallOutcomeMiddleware:
    """Classifies the events POSTed to ``path``, gives the route outcomes and the untouched request, then calls hooks.

    ``path`` is one template of Starlette or several (``/api/callbacks/{context_id}``); other requests and other scopes
    pass through. Around a mounted app the template may have the mount's prefix or be without. The route finds the
    outcomes with :func:`ringback.call_outcomes`. The hooks are due after the router's settle time, whatever becomes of
    the response; those of operations when the response is sent. The middleware answers what is no acceptable delivery
    with 400, 413 or 415 as problem+json, and Event Grid's handshakes with 200.

    ``auth`` checks the sender before the middleware reads the body: a verifier, or several verifiers of which one must
    agree. A refused sender gets 401, or 503 while the verifier cannot get its keys. ``None`` accepts every sender; an
    app that leaves ``auth`` out accepts every sender with a warning. :class:`ringback.settings.DoorSettings` has the
    other settings. The router takes what all doors share, such as the store. Raises :class:`ConfigurationError` for
    settings that cannot work.
    """

    @ends_the_start
    def __init__(
        self, app: ASGIApp, *, router: OutcomeRouter, path: str | Sequence[str], **door: Unpack[DoorSettings]
    ) -> None:
        refuse_no_asgi(app)
        self.app = app
        self._guarded = GuardedPaths(path)
        self._root = root_path(app)
        self._near_misses = NearMisses(self._guarded)
        self._receiver = Receiver(router, Door.of(door))
        self._reader = BodyReader(self._receiver.door.body_timeout)
        self._hides = self._receiver.gate.hides
        self._receiver.warn()

    def __setattr__(self, name: str, value: object) -> None:
        refuse_late(name, _SETTINGS, "CallOutcomeMiddleware")
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        return f"CallOutcomeMiddleware(path={list(self._guarded.templates)}, router={self._receiver.router!r})"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await run_lifespan(self.app, self._receiver.engine, scope, receive, send)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        root = scope.get("root_path", "")
        fit = self._guarded.fit(scope["path"], (self._root, root) if self._root or root else ())
        if fit == "exact":
            await (self._deliver_and_hide if self._hides else self._deliver)(scope, receive, send)
        elif fit is not None:
            await self._deliver_and_hide(scope, receive, self._send_and_report(send, guarded=True))
        elif canonical_method(scope["method"]) == "POST" and self._guarded.is_near(scope["path"]):
            # This URL may have the shared secret as well.
            await self.app(scope, receive, self._send_and_hide(scope, self._send_and_report(send, guarded=False)))
        else:
            await self.app(scope, receive, send)

    async def _deliver_and_hide(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._deliver(scope, receive, self._send_and_hide(scope, send))
        finally:
            # A route that raises has sent nothing. An outer middleware or the server answers, and may log the URL.
            self._receiver.gate.hide(scope)

    async def _deliver(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange, peeked = Exchange(self._receiver, scope), PeekedReceive(receive, self._receiver.door.body_timeout)
        found: Found = await exchange.admit(peeked.has_body)
        if found is Admitted.PASS_ON:
            await self.app(scope, peeked.channel, send)
            return
        if found is Admitted.READ_BODY:
            found = await exchange.take(partial(self._reader.read, receive, exchange.max_body))
        if isinstance(found, Reply):
            # A sender who has left needs no answer, but middlewares around this one and servers do. ASGI lets a server
            # raise OSError for a message to such a sender.
            with suppress(OSError):
                await response(found)(scope, receive, send)
            return
        give_outcomes(scope, found)
        with exchange:
            send = _send_and_tell(exchange, send) if exchange.received.early else send
            await self.app(scope, replayed(exchange.body, receive), send)

    def _send_and_report(self, send: Send, *, guarded: bool) -> Send:
        """A ``send`` that logs a near miss, once for a status of the app: the app and the sender differ in the path."""

        async def send_and_report(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._near_misses.answered(message["status"], guarded=guarded)
            await send(message)

        return send_and_report

    def _send_and_hide(self, scope: Scope, send: Send) -> Send:
        """A ``send`` that hides the shared secret when the response starts, because the server logs the URL then."""

        async def send_and_hide(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._receiver.gate.hide(scope)
            await send(message)

        return send_and_hide


def refuse_no_asgi(app: object) -> None:
    """Raise :class:`ConfigurationError` for what cannot be called as ``(scope, receive, send)``.

    A WSGI app is called as ``(environ, start_response)``: behind an ASGI door every request would be answered 500.
    """
    try:
        inspect.signature(app).bind(None, None, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    except TypeError:
        raise ConfigurationError(
            f"app {handler_name(app)} is no ASGI app: it cannot be called as (scope, receive, send); a WSGI app, such "
            "as Flask's, goes through a bridge: a2wsgi.WSGIMiddleware(app); or decorate its route: ringback.adapters"
        ) from None
    except ValueError:
        # Some builtins have no signature. They are accepted.
        return


_SETTINGS = ("router", "path", *DOOR)


def _send_and_tell(exchange: Exchange, send: Send) -> Send:
    """A ``send`` that tells the exchange of the end of the response; background tasks of the app come after the end."""

    async def send_and_tell(message: Message) -> None:
        await send(message)
        if message["type"] in _LAST and not message.get("more_body", False):
            await exchange.answered()

    return send_and_tell


_LAST = ("http.response.body", "http.response.pathsend")
"""The messages that may end a response.

Source: https://asgi.readthedocs.io/en/latest/extensions.html#path-send
"""
