"""An app between its start and its end, as a server tells it of them (ASGI lifespan)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from traffic import App

    Messages = asyncio.Queue[dict[str, str]]


class Life:
    """``await begin()``, requests, ``await end()``; raises :class:`RuntimeError` if the app refuses either."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._told: Messages = asyncio.Queue()
        self._said: Messages = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        self._task = asyncio.create_task(self._run())
        await self._ask("lifespan.startup")

    async def end(self) -> None:
        """Once; the second time nothing is left to end."""
        if self._task is not None:
            await self._ask("lifespan.shutdown")
            await self._task
            self._task = None

    async def _ask(self, what: str) -> None:
        self._told.put_nowait({"type": what})
        answer = await self._said.get()
        if answer["type"] != f"{what}.complete":
            raise RuntimeError(f"the app answered {what} with {answer}")

    async def _run(self) -> None:
        await self._app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, self._told.get, self._said.put)


async def stopped() -> None:
    """Cancel whatever else runs in this loop: what an app has begun, and what is measured no more."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
