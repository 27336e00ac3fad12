"""An app between its start and its end, as a server tells it of them (ASGI lifespan)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from traffic import App


class Life:
    """``await begin()``, requests, ``await end()``; raises :class:`RuntimeError` if the app refuses either."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._told: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._said: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._running: asyncio.Future[None] | None = None

    async def begin(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._running = asyncio.ensure_future(self._app(scope, self._told.get, self._said.put))
        await self._ask("lifespan.startup")

    async def end(self) -> None:
        """Once; the second time nothing is left to end."""
        if self._running is not None:
            await self._ask("lifespan.shutdown")
            await self._running
            self._running = None

    async def _ask(self, what: str) -> None:
        self._told.put_nowait({"type": what})
        answer = await self._said.get()
        if answer["type"] != f"{what}.complete":
            raise RuntimeError(f"the app answered {what} with {answer}")


async def stopped() -> None:
    """Cancel whatever else runs in this loop: what an app has begun, and what is measured no more."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
