"""A decorator for callback views of Django, sync and async. The outcomes are in ``request.call_outcomes``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

from ringback.adapters._registration import refuse_no_handler, refuse_no_view
from ringback.exceptions import MalformedDelivery, needs_extra
from ringback.receiving.exchange import Admitted, Found
from ringback.receiving.replies import Reply, refusal, too_large

with needs_extra("the decorator for Django", "django"):
    from asgiref.sync import iscoroutinefunction  # pyright: ignore[reportDeprecated] - Python's own says no before 3.12
    from django.core.exceptions import RequestDataTooBig  # pyright: ignore[reportMissingTypeStubs]
    from django.http import HttpResponse  # pyright: ignore[reportMissingTypeStubs]

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringback.web.handler import CallbackHandler

    # Django ships no types.
    HttpRequest = Any

_LOGGED = frozenset({"PATH_INFO", "QUERY_STRING", "RAW_URI", "REQUEST_URI"})

V = TypeVar("V", bound="Callable[..., Any]")
"""A view, which stays what it is to a type checker."""


def callback(handler: CallbackHandler) -> Callable[[V], V]:
    """Decorate a view, or what ``as_view()`` returns. Only deliveries reach the view. The hooks do not wait for it.

    The hooks of an async view run in the server's loop. Django does not tell an app that this loop ends, so the
    handler's router needs a store. The hooks of a sync view run in the loop of ``handler.sync``. One handler is for
    async views or for sync views, not for both. The decorated view needs no CSRF token. Raises
    :class:`RegistrationError` for what is no view.
    """
    refuse_no_handler(handler)

    def decorate(view: V) -> V:
        refuse_no_view(view, "decorate what as_view() returns")

        @functools.wraps(view)
        async def async_callback(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                exchange = handler.exchange(request.headers, **_head(request))
                found: Found = await exchange.admit(_has_body(request))
                if found is Admitted.READ_BODY:
                    found = await exchange.take(_body(request, exchange.max_body))
                if isinstance(found, Reply):
                    return _response(found)
                if found is Admitted.PASS_ON:
                    return await view(request, *args, **kwargs)
                request.call_outcomes = found
                with exchange:
                    return await view(request, *args, **kwargs)
            finally:
                _hide(handler, request)

        @functools.wraps(view)
        def sync_callback(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                exchange = handler.sync.exchange(request.headers, **_head(request))
                found: Found = exchange.admit(_has_body(request))
                if found is Admitted.READ_BODY:
                    found = exchange.take(_body(request, exchange.max_body))
                if isinstance(found, Reply):
                    return _response(found)
                if found is Admitted.PASS_ON:
                    return view(request, *args, **kwargs)
                request.call_outcomes = found
                with exchange:
                    return view(request, *args, **kwargs)
            finally:
                _hide(handler, request)

        chosen: Any = async_callback if iscoroutinefunction(view) else sync_callback  # pyright: ignore[reportDeprecated]
        chosen.csrf_exempt = True
        decorated: V = chosen
        return decorated

    return decorate


def _head(request: HttpRequest) -> dict[str, Any]:
    query = request.META.get("QUERY_STRING", "")
    return {"method": request.method, "path": request.path, "query": query}


def _has_body(request: HttpRequest) -> bool | None:
    if request.method == "POST":
        # Django reads no byte of a POST's body before the exchange has verified the sender.
        return None
    return _body(request, 0) != b""


def _body(request: HttpRequest, limit: int) -> bytes | Reply | None:
    """The whole body, the answer to a body that cannot be accepted, or ``None`` if the sender leaves before its end."""
    try:
        body: bytes = request.body
    except RequestDataTooBig:
        return too_large(limit)
    except OSError:
        return None
    except ValueError:
        # Not every server refuses a content length that is no number, and Django reads the number here.
        return refusal(MalformedDelivery("the content length is no number; send the body's"))
    return body


def _response(reply: Reply) -> HttpResponse:
    return HttpResponse(reply.body, status=reply.status, headers=dict(reply.headers))


def _hide(handler: CallbackHandler, request: HttpRequest) -> None:
    if hasattr(request, "scope"):
        handler.hide_in(request.scope)
    for name in _LOGGED.intersection(request.META):
        request.META[name] = handler.hide(request.META[name])
