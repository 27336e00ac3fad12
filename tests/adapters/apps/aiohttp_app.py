"""aiohttp.web, behind the middleware and with the decorator."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ringback.adapters.aiohttp import OUTCOMES, callback, callback_middleware, cleanup_context

METHODS = ["GET", "POST", "OPTIONS"]


def _endpoint(rig: Any) -> Any:
    async def endpoint(request: web.Request) -> web.Response:
        # As a stream: a body that was read before must be there once more.
        body = b"".join([part async for part in request.content.iter_any()])
        outcomes = request.get(OUTCOMES)
        status, answer, headers = await rig.routed(request.method, request.path, body, request.headers, outcomes)
        return web.Response(status=status, body=answer, headers=headers)

    return endpoint


def middleware(rig: Any) -> web.Application:
    handlers = rig.handlers()
    app = web.Application(
        middlewares=[callback_middleware(handler, f"/{name}/{{leg}}") for name, handler in handlers.items()]
    )
    for method in METHODS:
        app.router.add_route(method, "/{path:.*}", _endpoint(rig))
    return _started(app, handlers)


def decorator(rig: Any) -> web.Application:
    app, handlers = web.Application(), rig.handlers()
    for name, handler in handlers.items():
        for method in METHODS:
            app.router.add_route(method, f"/{name}/{{leg}}", callback(handler)(_endpoint(rig)))
    app.router.add_post("/{path:.*}", _endpoint(rig))
    return _started(app, handlers)


def _started(app: web.Application, handlers: Any) -> web.Application:
    app.cleanup_ctx.extend(cleanup_context(handler) for name, handler in handlers.items() if name != "down")
    return app
