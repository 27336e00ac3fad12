"""Decorated endpoints of Starlette and FastAPI, and what is posted to them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Route

from records import lines_in
from ringback import (
    Outcome,
    OutcomeRouter,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringback.work.items import Item

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
EVENT = {
    "id": "1f0e5c1a-0000-4000-8000-000000000003",
    "type": "Microsoft.Communication.CallDisconnected",
    "data": {"callConnectionId": LEG, "resultInformation": {"code": 486, "subCode": 560486, "message": ""}},
}
BODY = json.dumps([EVENT]).encode()
TOO_LARGE = "the body has more than 20 bytes; at most 20 are accepted"
EMPTY = "the body is empty; send a JSON array of CloudEvents"


class Item(BaseModel):
    type: str


async def tenant() -> str:
    return "tenant-1"


def collecting(into: list[Any], settle: float = 0) -> OutcomeRouter:
    """A router whose hook for every call's end notes it in a list."""
    router = OutcomeRouter(settle=settle)

    @router.on_retryable
    async def collect(outcome: Outcome) -> None:
        into.append("hook")

    return router


def starlette(endpoint: Callable[..., Any]) -> Starlette:
    return Starlette(routes=[Route("/cb/{context}", endpoint, methods=["POST"])])


def fastapi(endpoint: Callable[..., Any], **options: Any) -> FastAPI:
    app = FastAPI()
    app.post("/cb/{context}", **options)(endpoint)
    return app


async def post(app: Any, body: bytes = BODY, method: str = "POST", **headers: str) -> httpx.Response:
    headers = {"content-type": "application/json", **{name.replace("_", "-"): each for name, each in headers.items()}}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        return await client.request(method, "/cb/1", content=body, headers=headers)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return lines_in(caplog.records)


FRAMEWORKS = pytest.mark.parametrize("framework", [starlette, fastapi], ids=["starlette", "fastapi"])
