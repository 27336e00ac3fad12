"""A decorator for callback routes of Flask. The outcomes are in ``flask.g.call_outcomes``."""

from __future__ import annotations

import functools
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ringback.adapters._registration import open_to_options, refuse_no_handler, refuse_no_view
from ringback.exceptions import MalformedDelivery, needs_extra
from ringback.receiving.exchange import Admitted, Found
from ringback.receiving.replies import Reply, refusal, too_large

with needs_extra("the decorator for Flask", "flask"):
    from flask import Response, current_app, g, request
    from flask.views import View
    from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringback.web.handler import CallbackHandler

_LOGGED = frozenset({"PATH_INFO", "QUERY_STRING", "RAW_URI", "REQUEST_URI"})

V = TypeVar("V", bound="Callable[..., Any]")
"""A view, which stays what it is to a type checker."""


def callback(handler: CallbackHandler) -> Callable[[V], V]:
    """Decorate a route, below ``@app.post(...)``. Only deliveries reach the route. The hooks do not wait for it.

    The hooks run in the loop of ``handler.sync``, which starts with the first delivery and drains when the process
    ends. The decorator also takes ``OPTIONS`` requests, for the handshake of CloudEvents; Flask answers the others. A
    class of views lists the decorator in its ``decorators``. Raises :class:`RegistrationError` for what is no view.
    """
    refuse_no_handler(handler)

    def decorate(view: V) -> V:
        refuse_no_view(view, "list callback(handler) in the decorators of the class")
        open_to_options([View], decorate)

        @functools.wraps(view)
        def callback(*args: Any, **kwargs: Any) -> Any:
            try:
                query = request.query_string.decode("latin-1")
                pairs = request.headers.items()
                exchange = handler.sync.exchange(pairs, method=request.method, path=request.path, query=query)
                found: Found = exchange.admit(_has_body(exchange.max_body))
                if found is Admitted.READ_BODY:
                    found = exchange.take(_body(exchange.max_body))
                if isinstance(found, Reply):
                    return Response(found.body, found.status, list(found.headers))
                route = current_app.ensure_sync(view)
                if found is Admitted.PASS_ON:
                    return (
                        current_app.make_default_options_response()
                        if request.method == "OPTIONS"
                        else route(*args, **kwargs)
                    )
                g.call_outcomes = found
                with exchange:
                    return route(*args, **kwargs)
            finally:
                for name in _LOGGED.intersection(request.environ):
                    request.environ[name] = handler.hide(request.environ[name])

        callback.required_methods = {"OPTIONS"}  # type: ignore[attr-defined]
        callback.provide_automatic_options = False  # type: ignore[attr-defined]
        return cast("V", callback)

    return decorate


def _has_body(max_body: int) -> bool | None:
    """Whether the request has a body; ``None`` where its headers say so."""
    if request.method == "POST" or request.environ.get("SERVER_PROTOCOL", "").startswith("HTTP/1"):
        # No byte of a POST's body is read before the exchange has verified the sender.
        return None
    # In HTTP/2 no header needs to announce a body (RFC 9113, section 8.1).
    return _body(max_body) != b""


def _body(max_body: int) -> bytes | Reply | None:
    """The whole body, the answer to a body that cannot be accepted, or ``None`` if the sender leaves before its end."""
    limit = min(max_body, request.max_content_length or max_body)
    # One byte more, because Werkzeug cuts a body without a content length off at the limit, without an error.
    request.max_content_length = limit + 1
    try:
        body = request.get_data()
    except RequestEntityTooLarge:
        return too_large(limit)
    except (ClientDisconnected, OSError):
        return None
    except Exception:
        # Each server has exceptions of its own for chunks that are no chunks, and the stream is the server's.
        return refusal(MalformedDelivery("the body breaks off or is framed wrongly; send it whole"))
    if len(body) > limit:
        return too_large(limit)
    # The view may read the stream instead of the data.
    request.stream = BytesIO(body)  # pyright: ignore[reportAttributeAccessIssue]
    return body
