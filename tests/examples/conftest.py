"""An example app on a real socket, and the simulator that stands for Azure."""

from __future__ import annotations

import asyncio
import importlib
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager
    from types import ModuleType

ROOT = Path(__file__).parents[2]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """An example's module, as ``uvicorn --factory`` finds it from the root of a checkout."""
    monkeypatch.syspath_prepend(ROOT)

    def load(name: str) -> ModuleType:
        sys.modules.pop("examples", None)
        return importlib.import_module(name)

    return load


@pytest.fixture
def listening() -> socket.socket:
    """A socket of its own: the callback address must be known before the app is made. The server closes it."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))
    return sock


@pytest.fixture
def serving(listening: socket.socket) -> Callable[[Any], AbstractAsyncContextManager[str]]:
    """Serve an app on the socket, in this loop; its address."""

    @asynccontextmanager
    async def serve(app: Any) -> AsyncGenerator[str]:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", lifespan="on"))
        running = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running

    return serve
