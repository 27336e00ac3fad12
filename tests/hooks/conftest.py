"""The worlds in which the stories of contacts are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ringback.hooks import contacts
from storytelling import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture(params=["memory", "sqlite"])
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., World]]:
    """``world(register, **settings of the router)`` gives a world."""
    # Without a settle time a door asks for contacts for a turn of the loop, and a busy machine may stop it for longer.
    monkeypatch.setattr(contacts, "TURN", 30.0)
    made: list[World] = []

    def world(register: Any, **settings: Any) -> World:
        made.append(World(None if request.param == "memory" else tmp_path, register, **settings))
        return made[-1]

    yield world
    for each in made:
        await each.close()
