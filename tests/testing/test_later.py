"""The client after its first wait: retries and redials whose time has come since."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ringback import CallOutcomeMiddleware, HookContext, Outcome, OutcomeRouter, Retry
from ringback.testing import CallbackClient, SyncCallbackClient, call_disconnected

if TYPE_CHECKING:
    from pathlib import Path


class Shop:
    """An app whose hook asks for a second attempt, a little later."""

    def __init__(self, store: str | None) -> None:
        self.attempts: list[int] = []
        self.router = OutcomeRouter(store=store, settle=0)
        self.router.on_retryable(name="call_again")(self.call_again)
        self.app = Starlette(routes=[Route("/cb", lambda _: Response(), methods=["POST"])])
        self.app.add_middleware(CallOutcomeMiddleware, router=self.router, path="/cb", auth=None)

    async def call_again(self, outcome: Outcome, ctx: HookContext) -> None:
        assert outcome.cause == "busy"
        self.attempts.append(ctx.attempt)
        if ctx.attempt == 1:
            raise Retry(after=0.05)


@pytest.mark.parametrize("store", [None, "memory", "sqlite"])
async def test_a_later_wait_runs_the_retries_whose_time_has_come(store: str | None, tmp_path: Path) -> None:
    """Also without a delivery between the two."""
    shop = Shop(f"sqlite:///{tmp_path / 'hooks.db'}" if store == "sqlite" else store)
    client = CallbackClient(shop.app, path="/cb")
    await client.deliver(call_disconnected(486, 560486))
    async with asyncio.timeout(10):
        while shop.attempts != [1, 2]:
            await client.hooks()
            await asyncio.sleep(0.01)
    await shop.router.drain()


def test_so_does_that_of_the_sync_client() -> None:
    """Its loop stands still between the two."""
    shop = Shop(None)
    client = SyncCallbackClient(shop.app, path="/cb")
    client.deliver(call_disconnected(486, 560486))
    for _ in range(1000):
        client.hooks()
        if shop.attempts == [1, 2]:
            break
    client.close()
    assert shop.attempts == [1, 2]
