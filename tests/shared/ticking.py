"""Time that passes when somebody looks, and how often the event loop has had time for others."""

from __future__ import annotations

import asyncio

from ringback.stores.turns import TURN


class Ticking:
    """A clock that goes on by a third of a turn whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += TURN / 3
        return self.now


def others() -> list[None]:
    """How often the event loop has had time for others."""
    passed: list[None] = []

    def turn() -> None:
        passed.append(None)
        if len(passed) < 1000:
            asyncio.get_running_loop().call_soon(turn)

    asyncio.get_running_loop().call_soon(turn)
    return passed
