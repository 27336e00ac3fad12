"""An app behind a real uvicorn on a socket of 127.0.0.1: in a thread of its own, or in the loop of the test."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import uvicorn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


def listening(port: int = 0) -> socket.socket:
    """A socket that listens, so that nobody has to wait for the server; port 0 is any free port."""
    # With its protocol named, asyncio switches Nagle's algorithm off; else each answer waits 40 ms.
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.bind(("127.0.0.1", port))
    found.listen(512)
    return found


def _server(app: Any, settings: dict[str, Any]) -> uvicorn.Server:
    # No settings of logging, which are the whole process's, and no websockets unless asked for: their default warns.
    return uvicorn.Server(uvicorn.Config(app, **{"log_config": None, "ws": "none"} | settings))


class Served:
    """A server in a thread, while its block runs. ``settings`` are uvicorn's."""

    def __init__(self, app: Any, port: int = 0, **settings: Any) -> None:
        self._server = _server(app, settings)
        self._socket = listening(port)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server, which waits for the app's shutdown. A second time does nothing."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


@asynccontextmanager
async def serving(app: Any, at: socket.socket | None = None, **settings: Any) -> AsyncGenerator[str]:
    """Serve an app in this loop while the block runs; gives its origin. ``at`` is a socket that listens already."""
    used = listening() if at is None else at
    server = _server(app, settings)
    running = asyncio.create_task(server.serve(sockets=[used]))
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{used.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
