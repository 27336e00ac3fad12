"""The connection to an app's websocket server: what keeps it from being made is an OSError, as for a callback."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from live_server import serving
from ringback.simulator.authority import certificate_in
from ringback.simulator.websocket import websocket_dial

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.websockets import WebSocket


async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


APP = Starlette(routes=[WebSocketRoute("/ws", greet)])


async def test_a_connection_to_an_app() -> None:
    """What the app sends can be read."""
    async with serving(APP, ws="wsproto") as origin:
        socket = await websocket_dial()(f"{origin.replace('http', 'ws')}/ws", {})
        await socket.send("hello")
        assert await socket.recv() == "hello"
        await socket.close()


@pytest.mark.parametrize(
    "uri", ["ws://127.0.0.1:1/ws", "{origin}/elsewhere", "ws://127.0.0.1:99999/ws", "ws://[::1/ws", "ws:///ws"]
)
async def test_an_address_where_nobody_accepts(uri: str) -> None:
    """Nobody listens, the app has no such route, or the address is none."""
    async with serving(APP, ws="wsproto") as origin:
        with pytest.raises(OSError):  # noqa: PT011 - the words are those of the system
            await websocket_dial()(uri.format(origin=origin.replace("http", "ws")), {})


async def test_the_errors_of_tls(tmp_path: Path) -> None:
    """A server without TLS is told apart from one whose certificate nobody trusts."""
    async with serving(APP, ws="wsproto") as origin:
        with pytest.raises(ssl.SSLError, match=r"^TLS failed \(.*\); serve TLS there$"):
            await websocket_dial()(f"{origin.replace('http', 'wss')}/ws", {})
    files = certificate_in(tmp_path)
    tls = {"ssl_certfile": str(files.certificate), "ssl_keyfile": str(files.key)}
    async with serving(APP, ws="wsproto", **tls) as origin:
        with pytest.raises(OSError, match=r"^the certificate is not trusted \(.*issuer certificate\)$") as raised:
            await websocket_dial()(f"{origin.replace('http', 'wss')}/ws", {})
    assert not isinstance(raised.value, ssl.SSLError)
