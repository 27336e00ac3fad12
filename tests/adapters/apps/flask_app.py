"""Flask, behind the middleware by the bridge a2wsgi, and with the decorator."""

from __future__ import annotations

from typing import Any

from a2wsgi import ASGIMiddleware, WSGIMiddleware
from flask import Flask, Response, g, request

from ringback.adapters.flask import callback

METHODS = ["GET", "POST"]


def _endpoint(rig: Any) -> Any:
    def endpoint(**_: str) -> Response:
        state = request.environ.get("asgi.scope", {}).get("state", {})
        outcomes = g.get("call_outcomes") or state.get("call_outcomes")
        # As a stream: a body that was read before must be there once more.
        status, body, headers = rig.route(
            request.method, request.path, request.stream.read(), request.headers, outcomes
        )
        return Response(body, status, headers)

    return endpoint


def bridged(rig: Any) -> Any:
    """For an ASGI server."""
    app = Flask(__name__)
    app.add_url_rule("/<path:path>", "any", _endpoint(rig), methods=METHODS)
    return rig.wrapped(WSGIMiddleware(app.wsgi_app))  # type: ignore[arg-type]


def bridged_twice(rig: Any) -> Any:
    """For a WSGI server."""
    return ASGIMiddleware(bridged(rig))


def decorator(rig: Any) -> Any:
    app = Flask(__name__)
    for name, handler in rig.handlers().items():
        app.add_url_rule(f"/{name}/<leg>", name, callback(handler)(_endpoint(rig)), methods=METHODS)
    app.add_url_rule("/<path:path>", "any", _endpoint(rig), methods=METHODS)
    return app
