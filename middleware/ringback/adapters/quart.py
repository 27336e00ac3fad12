"""A decorator for callback routes of Quart. Outcomes are in ``quart.g.call_outcomes``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from quart import Response, current_app, g, request
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from ringback.entrance import Admission
from ringback.intake import Reply, too_large, too_slow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ringback.handler import CallbackHandler, Found


def callback(handler: CallbackHandler) -> Callable[[Callable[..., Any]], Callable[..., Awaitable[Any]]]:
    """Decorate a route, below ``@app.post(...)``: only deliveries reach it, and their hooks follow.

    The route also gets ``OPTIONS``, for the handshake of CloudEvents; Quart answers any other. Start and drain
    the handler in ``@app.before_serving`` and ``@app.after_serving``.
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(view)
        async def callback(*args: Any, **kwargs: Any) -> Any:
            try:
                return await handled(args, kwargs)
            finally:
                handler.hide_in(request.scope)

        async def handled(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            query = request.query_string.decode("latin-1")
            pairs = request.headers.items()
            found: Found = await handler.admit(pairs, method=request.method, path=request.path, query=query)
            if isinstance(found, Admission):
                found = await handler.take(found, await _body(found))
            if isinstance(found, Reply):
                return Response(found.body, found.status, dict(found.headers))
            if found is None and request.method == "OPTIONS":
                return await current_app.make_default_options_response()
            route = current_app.ensure_async(view)
            if found is None:
                return await route(*args, **kwargs)
            g.call_outcomes = found.outcomes
            async with handler.route(found):
                return await route(*args, **kwargs)

        callback.required_methods = {"OPTIONS"}  # type: ignore[attr-defined]
        callback.provide_automatic_options = False  # type: ignore[attr-defined]
        return callback

    return decorate


async def _body(admission: Admission) -> bytes | Reply:
    try:
        return await request.get_data(cache=True, as_text=False, parse_form_data=False)
    except RequestEntityTooLarge:
        return too_large(min(admission.max_body, request.max_content_length or admission.max_body))
    except RequestTimeout:
        return too_slow(request.body_timeout or 0)
