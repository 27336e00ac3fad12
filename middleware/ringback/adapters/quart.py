"""A decorator for callback routes of Quart. The outcomes are in ``quart.g.call_outcomes``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec

from ringback.adapters._registration import open_to_options, refuse_no_handler, refuse_no_view
from ringback.exceptions import needs_extra
from ringback.receiving.exchange import Admitted, Found
from ringback.receiving.replies import Reply, too_large, too_slow

with needs_extra("the decorator for Quart", "quart"):
    from quart import Response, current_app, g, request
    from quart.views import View
    from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ringback.web.handler import CallbackHandler

P = ParamSpec("P")


def callback(handler: CallbackHandler) -> Callable[[Callable[P, Any]], Callable[P, Awaitable[Any]]]:
    """Decorate a route, below ``@app.post(...)``. Only deliveries reach the route. The hooks do not wait for it.

    The decorator also takes ``OPTIONS`` requests, for the handshake of CloudEvents; Quart answers the others. The app
    starts and drains the handler in ``@app.before_serving`` and ``@app.after_serving``. A class of views lists the
    decorator in its ``decorators``. Raises :class:`RegistrationError` for what is no view.
    """
    refuse_no_handler(handler)

    def decorate(view: Callable[P, Any]) -> Callable[P, Awaitable[Any]]:
        refuse_no_view(view, "list callback(handler) in the decorators of the class")
        open_to_options([View], decorate)

        @functools.wraps(view)
        async def callback(*args: P.args, **kwargs: P.kwargs) -> Any:
            try:
                query = request.query_string.decode("latin-1")
                pairs = request.headers.items()
                exchange = handler.exchange(pairs, method=request.method, path=request.path, query=query)
                # The exchange calls the function only for other methods than POST, so it reads no unverified body.
                found: Found = await exchange.admit(_has_body)
                if found is Admitted.READ_BODY:
                    found = await exchange.take(await _body(exchange.max_body))
                if isinstance(found, Reply):
                    return Response(found.body, found.status, dict(found.headers))
                route = current_app.ensure_async(view)
                if found is Admitted.PASS_ON:
                    return _options() if request.method == "OPTIONS" else await route(*args, **kwargs)
                g.call_outcomes = found
                with exchange:
                    return await route(*args, **kwargs)
            finally:
                handler.hide_in(request.scope)

        callback.required_methods = {"OPTIONS"}  # type: ignore[attr-defined]
        callback.provide_automatic_options = False  # type: ignore[attr-defined]
        return callback

    return decorate


def _options() -> Response:
    """As Quart answers; its own function for this takes other arguments from 0.23 on."""
    adapter = current_app.create_url_adapter(request)
    assert adapter is not None
    return Response("", headers={"Allow": ", ".join(adapter.allowed_methods())})


async def _has_body() -> bool:
    try:
        return bool(await request.get_data(cache=True, as_text=False, parse_form_data=False))
    except (RequestEntityTooLarge, RequestTimeout):
        return True


async def _body(limit: int) -> bytes | Reply:
    try:
        return await request.get_data(cache=True, as_text=False, parse_form_data=False)
    except RequestEntityTooLarge:
        return too_large(min(limit, request.max_content_length or limit))
    except RequestTimeout:
        return too_slow(request.body_timeout or 0)
