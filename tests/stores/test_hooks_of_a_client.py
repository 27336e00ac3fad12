"""A client of ringback.testing in front of each store: it waits for the hooks of its own deliveries, and tells all."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from ringback import CallOutcomeMiddleware, HookPolicy, Outcome, OutcomeRouter
from ringback.testing import CallbackClient, HooksFailed, HooksLate, call_disconnected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ringback.stores import DeliveryStore


@pytest.fixture
def clock() -> Callable[[], float]:
    return time.time


async def route(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


@pytest.fixture
async def client_of(make: object) -> AsyncIterator[Callable[[DeliveryStore, Callable[[Outcome], Any]], CallbackClient]]:
    """Clients of apps with one hook. The apps are drained before their stores are closed."""
    routers: list[OutcomeRouter] = []
    # A worker that runs one hook at a time takes no item of another client meanwhile.
    hooks = HookPolicy(attempts=2, backoff=3600, max_backoff=3600, concurrency=1)

    def client_of(store: DeliveryStore, hook: Callable[[Outcome], Any]) -> CallbackClient:
        router = OutcomeRouter(store=store, settle=0.1, hooks=hooks, drain=0)
        router.on_retryable(hook)
        routers.append(router)
        return CallbackClient(CallOutcomeMiddleware(route, router=router, path="/cb", auth=None), path="/cb")

    yield client_of
    for router in routers:
        await router.drain()


async def test_a_hook_is_waited_for_and_its_failure_told(store: DeliveryStore, client_of: Any) -> None:
    """Through the settle time and while the hook runs; a second attempt is not waited for."""
    called: list[str | None] = []

    async def hook(outcome: Outcome) -> None:
        await asyncio.sleep(0.05)
        called.append(outcome.operation_context)
        if outcome.operation_context == "b":
            raise LookupError("no such order")

    client = client_of(store, hook)
    await client.deliver(call_disconnected(486, 560486, operation_context="a"))
    await client.hooks()
    assert called == ["a"]
    await client.deliver(call_disconnected(486, 560486, operation_context="b"))
    with pytest.raises(HooksFailed, match="LookupError: no such order"):
        await client.hooks()
    await client.hooks()
    assert called == ["a", "b"]


async def test_what_another_client_has_left_is_not_waited_for(
    make: Callable[[], DeliveryStore], client_of: Any
) -> None:
    """As in a file that outlives a test: a hook that still runs there is none of this client's."""
    begun = asyncio.Event()

    async def forever(outcome: Outcome) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def hook(outcome: Outcome) -> None: ...

    other, client = client_of(make(), forever), client_of(make(), hook)
    await other.deliver(call_disconnected(486, 560486))
    await begun.wait()
    await client.deliver(call_disconnected(486, 560486))
    await client.hooks()
    with pytest.raises(HooksLate):
        await other.hooks(timeout=0.1)
