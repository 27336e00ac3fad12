"""Tasks that belong together end together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ringback.stores.postgres import tasks

if TYPE_CHECKING:
    import pytest


async def test_a_cancellation_that_was_lost_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """procrastinate's worker may lose one while it starts: a stop must not wait for it for ever."""
    monkeypatch.setattr(tasks, "LOST_AFTER", 0.01)
    heard: list[int] = []

    async def loses_one() -> None:
        while len(heard) < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                heard.append(1)

    async with asyncio.timeout(20):
        await tasks.first_of(asyncio.sleep(0), loses_one())
    assert heard == [1, 1]
