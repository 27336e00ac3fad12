"""An app that takes callbacks and websocket connections of a simulator, on a real socket in the loop of the test."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.websockets import WebSocket


class Listener:
    """``events`` are those that its callback route took, ``grid`` those of Event Grid, ``frames`` those of its sockets.

    The route /ws answers the first audio with ``answers``; it waits for ``door`` before it accepts, and hangs up after
    ``patience`` frames. ``knocks`` counts the connections that were asked for, ``closed`` those
    that have ended.
    """

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.grid: list[dict[str, Any]] = []
        self.frames: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        self.answers: list[str] = []
        self.patience = 1_000_000
        self.closed = self.knocks = 0
        self.door = asyncio.Event()
        self.door.set()
        self._changed = asyncio.Condition()
        self.app = Starlette(
            routes=[
                Route("/cb", self._callbacks, methods=["POST"]),
                Route("/grid", self._grid, methods=["POST"]),
                WebSocketRoute("/ws", self._talk),
            ]
        )

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for what the app receives."""
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(condition), 30)

    def names(self) -> list[str]:
        return [event["type"].rpartition(".")[2] for event in self.events]

    def last(self, name: str) -> dict[str, Any]:
        """The data of the last event of this name."""
        return next(event["data"] for event in reversed(self.events) if event["type"].endswith(f".{name}"))

    def kinds(self) -> list[str]:
        return [frame["kind"] for frame in self.frames]

    def data(self, kind: str) -> list[dict[str, Any]]:
        """What the frames of this kind hold."""
        return [frame[kind[0].lower() + kind[1:]] for frame in self.frames if frame["kind"] == kind]

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _callbacks(self, request: Request) -> Response:
        self.events += await request.json()
        await self._tell()
        return Response()

    async def _grid(self, request: Request) -> Response:
        found = await request.json()
        self.grid += found if isinstance(found, list) else [found]
        await self._tell()
        return JSONResponse({"validationResponse": self.grid[-1]["data"].get("validationCode")})

    async def _talk(self, websocket: WebSocket) -> None:
        self.headers = dict(websocket.headers)
        self.knocks += 1
        await self._tell()
        await self.door.wait()
        await websocket.accept()
        try:
            for number in range(self.patience):
                self.frames.append(json.loads(await websocket.receive_text()))
                await self._tell()
                for answer in self.answers if number == 1 else ():
                    await websocket.send_text(answer)
            await websocket.close()
        except WebSocketDisconnect:
            pass
        self.closed += 1
        await self._tell()
