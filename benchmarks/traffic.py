"""What arrives: bodies as Call Automation sends them, every event of another call, and one request through an app."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    App = Callable[[Any, Any, Any], Awaitable[None]]
    """An ASGI application."""

PATH = "/api/callbacks"

LEG = "1f0e5c1a-0000-4000-8000-00000000000a"
CALL = "5b0c1c55-0000-4000-8000-00000000000b"
EVENT = "9d2f8a77-0000-4000-8000-00000000000c"

SERVER_CALL = "aHR0cHM6Ly9hcGkuZXhhbXBsZS5pbnZhbGlkL2FwaS92Mi9jcC9leGFtcGxlLTAx" + "P2k9MTAmZT02Mzg" * 14
"""As long as recorded ones are: with it an event has about as many bytes."""

TEMPLATE = (
    f'{{"id":"{EVENT}","source":"calling/callConnections/{LEG}",'
    '"type":"Microsoft.Communication.CallDisconnected",'
    '"data":{"version":"2024-09-15","operationContext":"order-4711/attempt-1",'
    '"resultInformation":{"code":486,"subCode":560486,"message":"Busy here. DiagCode: 486#560486.@"},'
    f'"callConnectionId":"{LEG}",'
    f'"serverCallId":"{SERVER_CALL}",'
    f'"correlationId":"{CALL}","publicEventType":"Microsoft.Communication.CallDisconnected"}},'
    '"time":"2026-01-15T08:58:50.0629553+00:00","specversion":"1.0","datacontenttype":"application/json",'
    f'"subject":"calling/callConnections/{LEG}"}}'
)
_numbers = itertools.count(1)


def event(number: int) -> str:
    """The end of one call; each number is another call."""
    # The last digit first: ids of calls come in no order, and so they find their place in an index.
    digits = f"{number:012x}"[::-1]
    return TEMPLATE.replace("00000000000a", digits).replace("00000000000b", digits).replace("00000000000c", digits)


def body(events: int) -> bytes:
    """A fresh delivery: no two in a process have a call in common."""
    return f"[{','.join(event(next(_numbers)) for _ in range(events))}]".encode()


async def handle(app: App, content: bytes, authorization: bytes | None = None) -> int:
    """One request through the app, as a server would call it; the response's status."""
    status = 0
    pending = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Any:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    headers = [
        (b"host", b"app.example.com"),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"user-agent", b"Microsoft.Communication"),
    ]
    if authorization is not None:
        headers.append((b"authorization", authorization))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": PATH,
        "raw_path": PATH.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    return status
