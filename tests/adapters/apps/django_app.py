"""Django: ASGI behind the middleware, and the decorator on async and on sync views."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.urls import path

from ringback.adapters.django import callback

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="only of this test",
        ROOT_URLCONF="none",
        LOGGING_CONFIG=None,
        MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
        USE_TZ=True,
    )
    django.setup()


def exempt(view: Any) -> Any:
    view.csrf_exempt = True
    return view


def _async_view(rig: Any) -> Any:
    async def view(request: HttpRequest, **_: str) -> HttpResponse:
        return _response(*await rig.routed(*_asked(request)))

    return view


def _view(rig: Any) -> Any:
    def view(request: HttpRequest, **_: str) -> HttpResponse:
        return _response(*rig.route(*_asked(request)))

    return view


def _asked(request: Any) -> tuple[Any, ...]:
    state = getattr(request, "scope", {}).get("state", {})
    outcomes = getattr(request, "call_outcomes", None) or state.get("call_outcomes")
    return request.method, request.path, request.body, request.headers, outcomes


def _response(status: int, body: bytes, headers: dict[str, str]) -> HttpResponse:
    return HttpResponse(body, status=status, headers=headers)


def _urls(rig: Any, view: Any, decorated: bool) -> ModuleType:
    """One app for each test, where Django thinks of one for each process."""
    urls = ModuleType("urls")
    handlers = rig.handlers() if decorated else {}
    patterns = [path(f"{name}/<leg>", callback(each)(view)) for name, each in handlers.items()]
    urls.urlpatterns = [*patterns, path("<path:path>", exempt(view))]  # type: ignore[attr-defined]
    return urls


def asgi_of(urls: ModuleType) -> Any:
    class Request(ASGIRequest):
        urlconf = urls

    class Handler(ASGIHandler):
        request_class = Request

    return Handler()


def middleware(rig: Any) -> Any:
    return rig.wrapped(asgi_of(_urls(rig, _async_view(rig), decorated=False)))


def async_decorator(rig: Any) -> Any:
    return asgi_of(_urls(rig, _async_view(rig), decorated=True))


def wsgi_of(urls: ModuleType) -> Any:
    class Request(WSGIRequest):
        urlconf = urls

    class Handler(WSGIHandler):
        request_class = Request

    return Handler()


def decorator(rig: Any) -> Any:
    return wsgi_of(_urls(rig, _view(rig), decorated=True))
