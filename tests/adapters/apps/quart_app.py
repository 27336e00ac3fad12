"""Quart, behind the middleware and with the decorator."""

from __future__ import annotations

from typing import Any

from quart import Quart, Response, g, request

from ringback.adapters.quart import callback

METHODS = ["GET", "POST"]


def _endpoint(rig: Any) -> Any:
    async def endpoint(**_: str) -> Response:
        outcomes = g.get("call_outcomes") or request.scope.get("state", {}).get("call_outcomes")
        status, body, headers = await rig.routed(
            request.method, request.path, await request.get_data(), request.headers, outcomes
        )
        return Response(body, status, headers)

    return endpoint


def middleware(rig: Any) -> Any:
    app = Quart(__name__)
    app.add_url_rule("/<path:path>", "any", _endpoint(rig), methods=METHODS)
    app.asgi_app = rig.wrapped(app.asgi_app)  # type: ignore[method-assign]
    return app


def decorator(rig: Any) -> Any:
    app = Quart(__name__)
    for name, handler in rig.handlers().items():
        app.add_url_rule(f"/{name}/<leg>", name, callback(handler)(_endpoint(rig)), methods=METHODS)
        app.before_serving(handler.start)
        app.after_serving(handler.drain)
    app.add_url_rule("/<path:path>", "any", _endpoint(rig), methods=METHODS)
    return app
