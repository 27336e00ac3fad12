"""The client's side of the lifespan protocol: the start-up and the shutdown of an app.

Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ringback.exceptions import RingbackError, error_text

if TYPE_CHECKING:
    from ringback.testing.posting import ASGIApp, Message


class AppNotStarted(RingbackError):
    """The app's start-up or shutdown failed; the message is the app's."""


class Lifespan:
    """One life of an app. An app that does not know the protocol raises at its start, and runs without it."""

    def __init__(self, app: ASGIApp) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._has_started = False
        self._error: Exception | None = None

    async def start(self) -> None:
        """Raises :class:`AppNotStarted` if the app says that its start-up has failed."""
        self._task = asyncio.create_task(self._run())
        answer = await self._answer("lifespan.startup")
        if answer["type"] == "lifespan.startup.failed":
            self._task.cancel()
            await asyncio.wait({self._task})
            raise self._failed(answer)
        self._has_started = answer["type"] == "lifespan.startup.complete"

    async def stop(self) -> None:
        """Raises :class:`AppNotStarted` if the app says that its shutdown has failed, or has raised since its start."""
        assert self._task is not None
        answer: Message = {"type": "ended"}
        if not self._task.done():
            answer = await self._answer("lifespan.shutdown")
        await self._task
        if answer["type"] == "lifespan.shutdown.failed" or (self._has_started and self._error is not None):
            raise self._failed(answer)

    async def _answer(self, message: str) -> Message:
        self._messages.put_nowait({"type": message})
        return await self._answers.get()

    def _failed(self, answer: Message) -> AppNotStarted:
        told = str(answer.get("message", "")) or (self._error and error_text(self._error))
        failed = AppNotStarted(told or f"the app answered {answer['type']}")
        failed.__cause__ = self._error
        return failed

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._messages.get, self._answers.put)
        except Exception as error:
            # An app without lifespan raises ("Lifespan Protocol", "Scope").
            self._error = error
        finally:
            self._answers.put_nowait({"type": "ended"})
