"""A decorator and a middleware for callback routes of aiohttp.web. The outcomes are in ``request[OUTCOMES]``."""

from __future__ import annotations

import asyncio
import functools
import itertools
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import unquote

from ringback.adapters._registration import refuse_no_handler
from ringback.exceptions import MalformedDelivery, RegistrationError, needs_extra
from ringback.hooks.signatures import handler_name, is_async
from ringback.receiving.exchange import Admitted, Found
from ringback.receiving.gate import NearMisses
from ringback.receiving.replies import Reply, refusal, too_large, too_slow
from ringback.receiving.target import GuardedPaths, canonical_method

with needs_extra("the adapter for aiohttp", "aiohttp"):
    from aiohttp import StreamReader, web
    from aiohttp.web_exceptions import HTTPException
    from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from aiohttp.typedefs import Handler, Middleware

    from ringback.core.outcome import Outcome
    from ringback.receiving.exchange import Exchange
    from ringback.web.handler import CallbackHandler

    View = Callable[..., Awaitable[web.StreamResponse]]
    Route = Callable[[], Awaitable[web.StreamResponse]]

V = TypeVar("V", bound="View")
"""A view, which stays what it is to a type checker."""

# Releases of aiohttp before 3.14 have texts for keys, and later ones warn of a text.
_key: Any = getattr(web, "RequestKey", None)

OUTCOMES: web.RequestKey[tuple[Outcome, ...]] = _key("call_outcomes", tuple) if _key else cast("Any", "call_outcomes")
"""The key of the outcomes in a request: ``request[OUTCOMES]``, and ``request.get(OUTCOMES, ())`` where some requests
are no deliveries.

Source: https://docs.aiohttp.org/en/stable/web_advanced.html#request-s-storage
"""


def callback(handler: CallbackHandler) -> Callable[[V], V]:
    """Decorate a handler of aiohttp, below ``@routes.post(...)``. Only deliveries reach it; hooks do not wait for it.

    Takes a function, a method that takes the request, or a method of a ``web.View``. The app starts and drains the
    engine with :func:`cleanup_context`. Raises :class:`RegistrationError` for a class, and for what is not async.
    """
    refuse_no_handler(handler)

    def decorate(view: V) -> V:
        _refuse_unfit(view)

        @functools.wraps(view)
        async def callback(*args: Any) -> web.StreamResponse:
            return await _answer(handler, _request_of(view, args), functools.partial(view, *args))

        return cast("V", callback)

    return decorate


def callback_middleware(handler: CallbackHandler, path: str | Sequence[str]) -> Middleware:
    """A middleware for ``web.Application(middlewares=[...])``, which does for ``path`` what :func:`callback` does.

    ``path`` is one template or several, as those of aiohttp's routes: ``/api/callbacks/{context_id}``; in a sub-app
    without the prefix of the sub-app. The middleware also answers the ``OPTIONS`` request of CloudEvents' handshake.
    Raises :class:`ConfigurationError` for a path that no request can fit.
    """
    refuse_no_handler(handler)
    door, guarded = handler, GuardedPaths(path)
    near_misses = NearMisses(guarded)

    # aiohttp gives the route by the name `handler`.
    @web.middleware
    async def callback_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = functools.partial(handler, request)
        fit = guarded.fit(request.path, _prefixes(request))
        if fit == "exact":
            return await _answer(door, request, route)
        if fit is not None:
            return await _reported(near_misses, _answer(door, request, route), guarded=True)
        if canonical_method(request.method) != "POST" or not guarded.is_near(request.path):
            return await route()
        try:
            return await _reported(near_misses, route(), guarded=False)
        finally:
            # This URL may have the shared secret as well.
            _hide(door, request)

    return callback_middleware


def cleanup_context(handler: CallbackHandler) -> Callable[[web.Application], AsyncGenerator[None]]:
    """Start the engine with the app and drain it at the end: ``app.cleanup_ctx.append(cleanup_context(handler))``.

    Source: https://docs.aiohttp.org/en/stable/web_advanced.html#cleanup-context
    """
    refuse_no_handler(handler)

    async def cleanup_context(_: web.Application) -> AsyncGenerator[None]:
        await handler.start()
        yield
        await handler.drain()

    return cleanup_context


async def _reported(
    near_misses: NearMisses, answer: Awaitable[web.StreamResponse], *, guarded: bool
) -> web.StreamResponse:
    try:
        response = await answer
    except HTTPException as raised:
        near_misses.answered(raised.status, guarded=guarded)
        raise
    near_misses.answered(response.status, guarded=guarded)
    return response


async def _answer(handler: CallbackHandler, request: web.Request, route: Route) -> web.StreamResponse:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
    query = request.rel_url.raw_query_string
    exchange = handler.exchange(headers, method=request.method, path=request.path, query=query)
    try:
        found: Found = await exchange.admit(request.body_exists)
        if found is Admitted.READ_BODY:
            found = await exchange.take(functools.partial(_body, request, exchange))
        if isinstance(found, Reply):
            return web.Response(body=found.body, status=found.status, headers=dict(found.headers))
        if found is Admitted.PASS_ON:
            return await route()
        _let_read(request, exchange.body)
        request[OUTCOMES] = found
        with exchange:
            return await route()
    finally:
        _hide(handler, request)


async def _body(request: web.Request, exchange: Exchange) -> bytes | Reply | None:
    limit = min(exchange.max_body, request.client_max_size or exchange.max_body)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(exchange.body_timeout or None):
            async for part in request.content.iter_any():
                size += len(part)
                if size > limit:
                    return too_large(limit)
                parts.append(part)
    except TimeoutError:
        return too_slow(exchange.body_timeout)
    except web.RequestPayloadError:
        return refusal(MalformedDelivery("the body breaks off or is encoded wrongly; send it whole"))
    except OSError:
        # The sender has left.
        return None
    return b"".join(parts)


def _let_read(request: web.Request, body: bytes) -> None:
    """Let the route read the body again; aiohttp has no public way, and a clone would share the stream that is read."""
    # Within the limit of the reader, so that the reader never pauses the connection.
    stream = StreamReader(request.protocol, max(len(body), 2**16), loop=asyncio.get_running_loop())
    stream.feed_data(body)
    stream.feed_eof()
    request._payload = stream  # pyright: ignore[reportPrivateUsage]
    request._cache.pop("content", None)  # pyright: ignore[reportPrivateUsage]


def _hide(handler: CallbackHandler, request: web.Request) -> None:
    """Take shared secrets out of the URL that the server logs after the answer; aiohttp has no public way."""
    if handler.hide(request.raw_path) == request.raw_path:
        return
    # The server logs its own request, and a middleware of the app may have made a clone.
    for each in (request, request.protocol._current_request):  # pyright: ignore[reportPrivateUsage]
        assert each is not None
        target = handler.hide(each.raw_path)
        each._message = each._message._replace(path=target)  # pyright: ignore[reportPrivateUsage]
        each._rel_url = URL(handler.hide(str(each.rel_url)), encoded=True)  # pyright: ignore[reportPrivateUsage]
        for name in _OF_THE_URL:
            each._cache.pop(name, None)  # pyright: ignore[reportPrivateUsage]


_OF_THE_URL = ("url", "path", "path_qs", "raw_path", "query", "query_string")
"""The properties of a request that aiohttp makes of the URL, and keeps."""


def _prefixes(request: web.Request) -> tuple[str, ...]:
    """The prefix below which the middleware's app is mounted, if it is a sub-app with a prefix."""
    apps = request.match_info.apps
    outer = [app for app, inner in itertools.pairwise(apps) if inner is request.app]
    found = (resource.get_info() for app in outer for resource in app.router.resources())
    return tuple(unquote(info["prefix"]) for info in found if info.get("app") is request.app and "prefix" in info)


def _request_of(view: View, args: tuple[Any, ...]) -> web.Request:
    for each in args:
        if isinstance(each, web.Request):
            return each
        if isinstance(each, web.View):
            return each.request
    raise RegistrationError(f"callback {handler_name(view)} was called without a web.Request; give it the request")


def _refuse_unfit(view: object) -> None:
    """Raise :class:`RegistrationError` for what the decorator cannot call."""
    if not callable(view):
        raise RegistrationError(f"callback {view!r} is no handler; decorate a function")
    if isinstance(view, type):
        raise RegistrationError(f"callback {handler_name(view)} is a class; decorate its method post")
    if not is_async(view):
        raise RegistrationError(f"callback {handler_name(view)} is not async; write async def")
