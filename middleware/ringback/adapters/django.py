"""A decorator for callback views of Django, sync and async. Outcomes are in ``request.call_outcomes``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction  # pyright: ignore[reportDeprecated] - Python's own says no before 3.12
from django.core.exceptions import RequestDataTooBig  # pyright: ignore[reportMissingTypeStubs]
from django.http import HttpResponse  # pyright: ignore[reportMissingTypeStubs]

from ringback.entrance import Admission
from ringback.intake import Reply, too_large

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringback.handler import CallbackHandler, Found

    # Django has no types of its own.
    HttpRequest = Any

_LOGGED = frozenset({"PATH_INFO", "QUERY_STRING", "RAW_URI", "REQUEST_URI"})


def callback(handler: CallbackHandler) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a view, or what ``as_view()`` returns: only deliveries reach it, and their hooks follow.

    An async view's hooks run in the server's loop, which is told of no end: give the handler a store. Those of a
    sync view run in ``handler.sync``'s. One handler is for views of one kind. No CSRF token is asked for.
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        async def answering(request: HttpRequest, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            found: Found = await handler.admit(request.headers, **_head(request))
            if isinstance(found, Admission):
                found = await handler.take(found, _body(request, found))
            if isinstance(found, Reply):
                return _response(found)
            if found is None:
                return await view(request, *args, **kwargs)
            request.call_outcomes = found.outcomes
            async with handler.route(found):
                return await view(request, *args, **kwargs)

        def answer(request: HttpRequest, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            found: Found = handler.sync.admit(request.headers, **_head(request))
            if isinstance(found, Admission):
                found = handler.sync.take(found, _body(request, found))
            if isinstance(found, Reply):
                return _response(found)
            if found is None:
                return view(request, *args, **kwargs)
            request.call_outcomes = found.outcomes
            with handler.sync.route(found):
                return view(request, *args, **kwargs)

        @functools.wraps(view)
        async def async_callback(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                return await answering(request, args, kwargs)
            finally:
                _hide(handler, request)

        @functools.wraps(view)
        def sync_callback(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                return answer(request, args, kwargs)
            finally:
                _hide(handler, request)

        chosen: Any = async_callback if iscoroutinefunction(view) else sync_callback  # pyright: ignore[reportDeprecated]
        chosen.csrf_exempt = True
        decorated: Callable[..., Any] = chosen
        return decorated

    return decorate


def _head(request: HttpRequest) -> dict[str, str]:
    return {"method": request.method, "path": request.path, "query": request.META.get("QUERY_STRING", "")}


def _body(request: HttpRequest, admission: Admission) -> bytes | Reply:
    try:
        body: bytes = request.body
    except RequestDataTooBig:
        return too_large(admission.max_body)
    return body


def _response(reply: Reply) -> HttpResponse:
    return HttpResponse(reply.body, status=reply.status, headers=dict(reply.headers))


def _hide(handler: CallbackHandler, request: HttpRequest) -> None:
    if hasattr(request, "scope"):
        handler.hide_in(request.scope)
    for name in _LOGGED.intersection(request.META):
        request.META[name] = handler.hide(request.META[name])
