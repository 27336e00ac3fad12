"""Starlette, behind the middleware and with the decorator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

METHODS = ["GET", "POST", "OPTIONS"]


def _endpoint(rig: Any) -> Any:
    async def endpoint(request: Request) -> Response:
        outcomes = getattr(request.state, "call_outcomes", None)
        status, body, headers = await rig.routed(
            request.method, request.url.path, await request.body(), request.headers, outcomes
        )
        return Response(body, status, headers)

    return endpoint


def middleware(rig: Any) -> Any:
    return rig.wrapped(Starlette(routes=[Route("/{path:path}", _endpoint(rig), methods=METHODS)]))


def decorator(rig: Any) -> Any:
    routes = [
        Route(f"/{name}/{{leg}}", callback(_endpoint(rig)), methods=METHODS)
        for name, callback in rig.callbacks().items()
    ]
    routes.append(Route("/{path:path}", _endpoint(rig), methods=METHODS))
    return Starlette(routes=routes, lifespan=rig.lifespan)
