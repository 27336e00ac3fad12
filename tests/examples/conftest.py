"""An example app on a real socket, and the simulator that stands for Azure."""

from __future__ import annotations

import importlib.util
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import live_server

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
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
    with live_server.listening() as sock:
        yield sock


@pytest.fixture
def serving(listening: socket.socket) -> Callable[[Any], AbstractAsyncContextManager[str]]:
    """Serve an app on the socket, in this loop; its address."""
    return partial(live_server.serving, at=listening, lifespan="on")
