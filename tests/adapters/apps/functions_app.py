"""Azure Functions, with an ASGI app and with the decorator, behind a host that is only here."""

from __future__ import annotations

from typing import Any

import azure.functions as func
import raw

from ringback.adapters.azure_functions import callback


def _host(function_of: Any) -> Any:
    """As the host does: the body is read, the function is called, and nobody says that the worker ends."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        url = f"http://127.0.0.1{scope['path']}?{scope['query_string'].decode()}"
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        request = func.HttpRequest(scope["method"], url, headers=headers, body=body)
        answer = await function_of(scope["path"])(request)
        pairs = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
        if not any(name == b"content-type" for name, _ in pairs):
            pairs.append((b"content-type", answer.mimetype.encode()))
        await send({"type": "http.response.start", "status": answer.status_code, "headers": pairs})
        await send({"type": "http.response.body", "body": answer.get_body()})

    return app


class _App(func.AsgiFunctionApp):
    def __del__(self) -> None:
        """Its own runs the shutdown in a loop of another time, and fails."""


def middleware(rig: Any) -> Any:
    return hosted(rig.wrapped(raw.app_of(rig)))


def hosted(app: Any) -> Any:
    """An ASGI app as a function."""
    functions = _App(app, http_auth_level=func.AuthLevel.ANONYMOUS)
    user_function = functions.get_functions()[0].get_user_function()

    async def function(request: Any) -> Any:
        return await user_function(request, None)

    return _host(lambda _: function)


def decorator(rig: Any) -> Any:
    async def function(req: func.HttpRequest) -> func.HttpResponse:
        outcomes = getattr(req, "call_outcomes", None)
        path = req.url.removeprefix("http://127.0.0.1").partition("?")[0]
        status, body, headers = await rig.routed(req.method, path, req.get_body(), req.headers, outcomes)
        return func.HttpResponse(body, status_code=status, headers=headers, mimetype=headers["content-type"])

    routed = {name: callback(handler)(function) for name, handler in rig.handlers().items()}
    return _host(lambda path: routed.get(path.split("/")[1], function))
