"""A decorator for callback routes of Flask. Outcomes are in ``flask.g.call_outcomes``."""

from __future__ import annotations

import functools
from io import BytesIO
from typing import TYPE_CHECKING, Any

from flask import Response, current_app, g, request
from werkzeug.exceptions import RequestEntityTooLarge

from ringback.entrance import Admission
from ringback.intake import Reply, too_large

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringback.handler import CallbackHandler, Found

_LOGGED = frozenset({"PATH_INFO", "QUERY_STRING", "RAW_URI", "REQUEST_URI"})


def callback(handler: CallbackHandler) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a route, below ``@app.post(...)``: only deliveries reach it, and their hooks follow.

    Hooks run in ``handler.sync``'s loop, which starts with the first delivery and drains when the process
    ends. The route also gets ``OPTIONS``, for the handshake of CloudEvents; Flask answers any other.
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def callback(*args: Any, **kwargs: Any) -> Any:
            try:
                return handled(args, kwargs)
            finally:
                for name in _LOGGED.intersection(request.environ):
                    request.environ[name] = handler.hide(request.environ[name])

        def handled(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            query = request.query_string.decode("latin-1")
            pairs = request.headers.items()
            found: Found = handler.sync.admit(pairs, method=request.method, path=request.path, query=query)
            if isinstance(found, Admission):
                found = handler.sync.take(found, _body(found))
            if isinstance(found, Reply):
                return Response(found.body, found.status, list(found.headers))
            if found is None and request.method == "OPTIONS":
                return current_app.make_default_options_response()
            route = current_app.ensure_sync(view)
            if found is None:
                return route(*args, **kwargs)
            g.call_outcomes = found.outcomes
            with handler.sync.route(found):
                return route(*args, **kwargs)

        callback.required_methods = {"OPTIONS"}  # type: ignore[attr-defined]
        callback.provide_automatic_options = False  # type: ignore[attr-defined]
        return callback

    return decorate


def _body(admission: Admission) -> bytes | Reply:
    limit = min(admission.max_body, request.max_content_length or admission.max_body)
    # One more: a body without a length is cut off there, and nobody says so.
    request.max_content_length = limit + 1
    try:
        body = request.get_data()
    except RequestEntityTooLarge:
        return too_large(limit)
    if len(body) > limit:
        return too_large(limit)
    # The view may read the stream instead of the data.
    request.stream = BytesIO(body)  # pyright: ignore[reportAttributeAccessIssue]
    return body
