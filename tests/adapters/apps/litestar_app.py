"""Litestar behind the middleware."""

from typing import Any

from litestar import HttpMethod, Litestar, Request, Response, route


def middleware(rig: Any) -> Any:
    @route("/{rest:path}", http_method=[HttpMethod.GET, HttpMethod.POST, HttpMethod.OPTIONS], media_type="text/plain")
    async def endpoint(request: Request[Any, Any, Any]) -> Response[bytes]:
        outcomes = request.scope["state"].get("call_outcomes")
        body = await request.body()
        status, answer, headers = await rig.routed(request.method, request.url.path, body, request.headers, outcomes)
        kind = headers["content-type"]
        return Response(answer, status_code=status, headers={"x-route": headers["x-route"]}, media_type=kind)

    return rig.wrapped(Litestar([endpoint], openapi_config=None, logging_config=None))
