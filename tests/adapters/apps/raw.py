"""An ASGI app without a framework, which knows no lifespan."""

from __future__ import annotations

from typing import Any


def middleware(rig: Any) -> Any:
    return rig.wrapped(app_of(rig))


def app_of(rig: Any) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        outcomes = (scope.get("state") or {}).get("call_outcomes")
        status, answer, own = await rig.routed(scope["method"], scope["path"], body, headers, outcomes)
        pairs = [(name.encode(), value.encode()) for name, value in own.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": answer})

    return app
