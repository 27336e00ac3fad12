"""Apps whose callback routes are registered as their framework's documentation does it, behind a gate: a shared secret.

Each notes what reaches a callback route, and whether Ringback has verified it.
"""

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import ModuleType
from typing import Any

import azure.functions as func
import functions_app
import litestar
import quart
from a2wsgi import ASGIMiddleware, WSGIMiddleware
from aiohttp import web
from django.http import HttpRequest, HttpResponse
from django.urls import path as django_path
from django_app import asgi_of, exempt, wsgi_of
from fastapi import FastAPI
from flask import Flask
from flask import g as flask_g
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from ringback import CallbackHandler, CallOutcomeMiddleware, OutcomeRouter, SharedSecret
from ringback.adapters import aiohttp as aiohttp_adapter
from ringback.adapters import azure_functions as functions_adapter
from ringback.adapters import django as django_adapter
from ringback.adapters import flask as flask_adapter
from ringback.adapters import quart as quart_adapter
from ringback.receiving.replies import Reply

SECRET = "a-shared-secret-of-this-app"
PATHS = ["/api/callbacks", "/cb/{leg}", "/number/{leg:int}", "/rest/{leg:path}"]
WERKZEUG = ["/api/callbacks", "/cb/<leg>", "/number/<int:leg>", "/rest/<path:leg>"]
DJANGO = ["api/callbacks", "cb/<leg>", "number/<int:leg>", "rest/<path:leg>"]


class Reached:
    """What reached a callback route: method and path as the route saw them, and whether it was verified.

    In a file, since the app may be in another process.
    """

    def __init__(self, file: str) -> None:
        self._file = Path(file)
        self.forget()

    def note(self, method: str, path: str, outcomes: object) -> bytes:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps([method, path, outcomes is not None]) + "\n")
        return b"reached"

    @property
    def requests(self) -> list[list[Any]]:
        return [json.loads(line) for line in self._file.read_text("utf-8").splitlines()]

    def forget(self) -> None:
        self._file.write_text("", "utf-8")


def _guard() -> Any:
    return SharedSecret(SECRET)


def _behind(app: Any) -> Any:
    return CallOutcomeMiddleware(app, router=OutcomeRouter(), path=PATHS, auth=_guard())


def _handler() -> CallbackHandler:
    return CallbackHandler(OutcomeRouter(), auth=_guard())


def _state(request: Any) -> Any:
    return getattr(request.state, "call_outcomes", None)


def _starlette_routes(reached: Reached, decorated: Any) -> list[Route]:
    class Endpoint(HTTPEndpoint):
        @decorated
        async def post(self, request: Request) -> Response:
            return Response(reached.note(request.method, request.url.path, _state(request)))

        # Any method reaches an endpoint that says so.
        put = delete = patch = query = get = post

    return [Route(path, Endpoint) for path in PATHS]


def starlette(reached: Reached) -> Any:
    return _behind(Starlette(routes=_starlette_routes(reached, lambda endpoint: endpoint)))


def starlette_decorator(reached: Reached) -> Any:
    return Starlette(routes=_starlette_routes(reached, OutcomeRouter().callback(auth=_guard())))


def starlette_mount(reached: Reached) -> Any:
    """The guarded app is mounted twice, once below a name and once not."""
    inner = starlette(reached)
    return Starlette(routes=[Mount("/sub", inner), Mount("/", inner)])


def _fastapi(reached: Reached, decorated: Any) -> Any:
    app = FastAPI()

    async def endpoint(request: Request) -> Response:
        return Response(reached.note(request.method, request.url.path, _state(request)))

    for path in PATHS:
        app.post(path)(decorated(endpoint))
    return app


def fastapi(reached: Reached) -> Any:
    return _behind(_fastapi(reached, lambda endpoint: endpoint))


def fastapi_root(reached: Reached) -> Any:
    """FastAPI cuts off a prefix of its own, and the middleware stands before it."""
    app = _fastapi(reached, lambda endpoint: endpoint)
    app.root_path = "/sub"
    return _behind(app)


def fastapi_decorator(reached: Reached) -> Any:
    return _fastapi(reached, OutcomeRouter().callback(auth=_guard()))


def litestar_app(reached: Reached) -> Any:
    paths = ["/api/callbacks", "/cb/{leg:str}", "/number/{leg:int}", "/rest/{leg:path}"]

    @litestar.post(paths, media_type="text/plain")
    async def endpoint(request: litestar.Request[Any, Any, Any]) -> litestar.Response[bytes]:
        outcomes = request.scope["state"].get("call_outcomes")
        return litestar.Response(reached.note(request.method, request.url.path, outcomes))

    return _behind(litestar.Litestar([endpoint], openapi_config=None, logging_config=None))


def _quart(reached: Reached, decorated: Any) -> Any:
    app = quart.Quart(__name__)

    @decorated
    async def endpoint(**_: object) -> bytes:
        state = quart.request.scope.get("state") or {}
        outcomes = quart.g.get("call_outcomes", state.get("call_outcomes"))
        return reached.note(quart.request.method, quart.request.path, outcomes)

    for path in WERKZEUG:
        app.add_url_rule(path, path, endpoint, methods=["POST", "PUT"])
    return app


def quart_app(reached: Reached) -> Any:
    return _behind(_quart(reached, lambda endpoint: endpoint))


def quart_decorator(reached: Reached) -> Any:
    return _quart(reached, quart_adapter.callback(_handler()))


def _flask(reached: Reached, decorated: Any) -> Flask:
    app = Flask(__name__)

    @decorated
    def endpoint(**_: object) -> bytes:
        state = flask_request.environ.get("asgi.scope", {}).get("state") or {}
        outcomes = flask_g.get("call_outcomes", state.get("call_outcomes"))
        return reached.note(flask_request.method, flask_request.path, outcomes)

    for path in WERKZEUG:
        app.add_url_rule(path, path, endpoint, methods=["POST", "PUT"])
    return app


def flask(reached: Reached) -> Any:
    return _behind(WSGIMiddleware(_flask(reached, lambda endpoint: endpoint).wsgi_app))  # type: ignore[arg-type]


def flask_twice(reached: Reached) -> Any:
    """The middleware before a Flask app behind a WSGI server: a bridge there and a bridge back."""
    return ASGIMiddleware(flask(reached))


def flask_decorator(reached: Reached) -> Any:
    """For a WSGI server."""
    return _flask(reached, flask_adapter.callback(_handler()))


def _django(reached: Reached, decorated: Any) -> Any:
    async def view(request: HttpRequest, **_: object) -> HttpResponse:
        state = request.scope.get("state") or {}  # type: ignore[attr-defined]
        outcomes = getattr(request, "call_outcomes", state.get("call_outcomes"))
        return HttpResponse(reached.note(str(request.method), request.path, outcomes))

    urls = ModuleType("urls")
    urls.urlpatterns = [django_path(each, exempt(decorated(view))) for each in DJANGO]  # type: ignore[attr-defined]
    return asgi_of(urls)


def django(reached: Reached) -> Any:
    return _behind(_django(reached, lambda view: view))


def django_decorator(reached: Reached) -> Any:
    return _django(reached, django_adapter.callback(_handler()))


def django_sync(reached: Reached) -> Any:
    """For a WSGI server."""

    def view(request: HttpRequest, **_: object) -> HttpResponse:
        outcomes = getattr(request, "call_outcomes", None)
        return HttpResponse(reached.note(str(request.method), request.path, outcomes))

    urls = ModuleType("urls")
    decorated = django_adapter.callback(_handler())(view)
    urls.urlpatterns = [django_path(each, decorated) for each in DJANGO]  # type: ignore[attr-defined]
    return wsgi_of(urls)


def functions(reached: Reached) -> Any:
    """An ASGI app in Azure Functions."""
    return functions_app.hosted(raw(reached))


def functions_decorator(reached: Reached) -> Any:
    async def function(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(reached.note(str(req.method), req.url, getattr(req, "call_outcomes", None)))

    decorated = functions_adapter.callback(_handler())(function)
    return functions_app._host(lambda _: decorated)


def _aiohttp(app: web.Application, reached: Reached, decorated: Any) -> web.Application:
    @decorated
    async def endpoint(request: web.Request) -> web.Response:
        outcomes = request.get(aiohttp_adapter.OUTCOMES)
        return web.Response(body=reached.note(request.method, request.path, outcomes))

    for path in ["/api/callbacks", "/cb/{leg}", r"/number/{leg:\d+}", "/rest/{leg:.*}"]:
        app.router.add_post(path, endpoint)
        app.router.add_put(path, endpoint)
    return app


def aiohttp_middleware(reached: Reached) -> Any:
    guard = aiohttp_adapter.callback_middleware(_handler(), PATHS)
    return _aiohttp(web.Application(middlewares=[guard]), reached, lambda endpoint: endpoint)


def aiohttp_mount(reached: Reached) -> Any:
    """A guarded app is a sub-app of another, whose middleware does not know the sub-app's paths."""
    outer = aiohttp_middleware(reached)
    outer.add_subapp("/sub", aiohttp_middleware(reached))
    return outer


def aiohttp_decorator(reached: Reached) -> Any:
    return _aiohttp(web.Application(), reached, aiohttp_adapter.callback(_handler()))


def plain(reached: Reached) -> Any:
    """The handler in the standard library's server."""
    handler = _handler()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            received = handler.sync.receive(body, self.headers.items(), method=self.command, path=path, query=query)
            status = received.status if isinstance(received, Reply) else 200
            if not isinstance(received, Reply):
                reached.note(self.command, path, received.outcomes)
            self.send_response(status)
            self.end_headers()

        do_PUT = do_post = do_GET = do_POST  # noqa: N815 - the names of the base class

        def log_message(self, *_: object) -> None: ...

    return Handler


def raw(reached: Reached) -> Any:
    """An app without a framework that compares text."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                await send({"type": f"{(await receive())['type']}.complete"})
            return
        known = scope["path"] == "/api/callbacks" or scope["path"].startswith(("/cb/", "/rest/"))
        if known and scope["path"].count("/") == 2:
            reached.note(scope["method"], scope["path"], (scope.get("state") or {}).get("call_outcomes"))
        await send({"type": "http.response.start", "status": 200 if known else 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return _behind(app)


APPS = {
    "Starlette": starlette,
    "Starlette, mounted": starlette_mount,
    "Starlette, decorator": starlette_decorator,
    "FastAPI": fastapi,
    "FastAPI, root_path": fastapi_root,
    "FastAPI, decorator": fastapi_decorator,
    "Litestar": litestar_app,
    "Quart": quart_app,
    "Quart, decorator": quart_decorator,
    "Django": django,
    "Django, decorator": django_decorator,
    "Flask": flask,
    "Flask, a bridge there and back": flask_twice,
    "Flask, decorator": flask_decorator,
    "Django, sync decorator": django_sync,
    "Azure Functions": functions,
    "Azure Functions, decorator": functions_decorator,
    "aiohttp": aiohttp_middleware,
    "aiohttp, mounted": aiohttp_mount,
    "aiohttp, decorator": aiohttp_decorator,
    "anything else": plain,
    "ASGI without a framework": raw,
}
