"""An example app on a real socket, and the simulator that stands for Azure."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from types import ModuleType

ROOT = Path(__file__).parents[2]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of an example, afresh for each test, by its name in ``examples``: ``example("inbound_ivr.app")``."""

    def load(name: str) -> ModuleType:
        file = ROOT / "examples" / f"{name.replace('.', '/')}.py"
        spec = importlib.util.spec_from_file_location(f"example_{name.replace('.', '_')}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # Where FastAPI and dataclasses look for the names in annotations.
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket of its own: the callback address must be known before the app is made."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


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
