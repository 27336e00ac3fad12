"""FastAPI, behind the middleware and with the decorator."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response

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
    app = FastAPI(openapi_url=None)
    app.api_route("/{path:path}", methods=METHODS)(_endpoint(rig))
    return rig.wrapped(app)


def decorator(rig: Any) -> Any:
    app = FastAPI(openapi_url=None, lifespan=rig.lifespan)
    for name, callback in rig.callbacks().items():
        app.api_route(f"/{name}/{{leg}}", methods=METHODS)(callback(_endpoint(rig)))
    app.api_route("/{path:path}", methods=METHODS)(_endpoint(rig))
    return app
