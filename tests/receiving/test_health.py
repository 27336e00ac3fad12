"""`router.health()` tells a probe what a process can do: its store answers, its worker runs, deliveries come."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import ringback
from asgi_apps import delivery, event
from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter, SharedSecret, StoreUnavailable
from ringback.receiving.engine import Engine
from ringback.receiving.health import Health, health_of
from ringback.stores import MemoryStore

if TYPE_CHECKING:
    from pathlib import Path


async def route(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


WELL = Health(store_reachable=True, store_fault=None, worker_running=None, last_delivery=None, oldest_due=0.0, dead=0)


class Away(MemoryStore):
    """A store on a disk that cannot be asked."""

    durable = True  # type: ignore[assignment]
    never = False

    async def put(self, *_: object) -> Any:
        raise StoreUnavailable("away")

    async def stats(self) -> Any:
        if self.never:
            await asyncio.Event().wait()
        raise StoreUnavailable("postgresql://app:password@db.example.com is away")


async def test_a_new_process_without_a_store_is_well() -> None:
    """Nothing has come yet, so no worker is needed."""
    assert await OutcomeRouter().health() == WELL
    assert WELL.to_dict() == {
        "ok": True,
        "store_reachable": True,
        "store_fault": None,
        "worker_running": None,
        "last_delivery": None,
        "oldest_due": 0.0,
        "dead": 0,
        "deliveries": {},
    }


async def test_a_worker_runs_from_the_start_to_the_end(tmp_path: Path) -> None:
    """With a store on a disk: before the start and after the end a process cannot do its part."""
    router = OutcomeRouter(store=f"sqlite:///{tmp_path}/ringback.db")
    await router.start()
    running = await router.health()
    await router.drain()
    ended = await router.health()
    assert running == replace(WELL, worker_running=True)
    assert running.ok
    assert ended.worker_running is False
    assert not ended.ok


async def test_a_process_that_only_receives_has_no_worker(tmp_path: Path) -> None:
    """`ringback worker` calls its hooks elsewhere."""
    router = OutcomeRouter(store=f"sqlite:///{tmp_path}/ringback.db", worker=False)
    await router.start()
    health = await router.health()
    await router.drain()
    assert health == WELL
    assert health.ok


async def test_a_store_that_is_away_is_told_without_a_secret() -> None:
    health = await OutcomeRouter(store=Away()).health()
    assert health.store_fault is not None
    assert "password" not in health.store_fault
    assert replace(health, store_fault=None) == Health(
        store_reachable=False, store_fault=None, worker_running=False, last_delivery=None, oldest_due=None, dead=None
    )
    assert not health.ok


async def test_a_store_that_does_not_answer_is_waited_for_no_longer_than_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringback.receiving.health.PATIENCE", 0.01)
    store = Away()
    store.never = True
    health = await health_of(OutcomeRouter(store=store).engine)
    assert (health.store_reachable, health.store_fault) == (False, "no answer within 0.01 s")


async def test_the_last_delivery_is_told_by_its_age() -> None:
    """By a clock that nobody sets. A worker runs as soon as a hook is due."""
    now = 100.0
    router = OutcomeRouter()

    @router.on_retryable
    async def again(outcome: Outcome) -> None: ...

    engine = Engine(router, router.settings, clock=lambda: now)
    await engine.accept([ringback.classify("CallDisconnected", 486, 560486)])
    engine.last_delivery = now
    now = 107.5
    health = await health_of(engine)
    await engine.drain(0)
    assert (health.last_delivery, health.worker_running) == (7.5, True)


async def test_refused_deliveries_are_told_beside_accepted_ones() -> None:
    """For who has no console. A probe that anyone may ask tells no reason."""
    router = OutcomeRouter()
    middleware = CallOutcomeMiddleware(route, router=router, path="/callbacks", auth=SharedSecret("s" * 16))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(middleware), base_url="https://app.example") as client:
        for secret in ("s" * 16, "wrong", "wrong"):
            await client.post(f"/callbacks?secret={secret}", content=b"[]")
        await client.post("/callbacks?secret=" + "s" * 16, content=b"no JSON")
        await client.put("/callbacks", content=b"no delivery")
    health = await router.health()
    assert health.deliveries == {"accepted": 1, "refused": 2, "malformed": 1}
    assert health.last_delivery is not None


def test_the_name_is_public() -> None:
    assert ringback.Health is Health
    with pytest.raises(AttributeError):
        _ = ringback.Healthy


async def test_a_delivery_that_the_store_could_not_keep_is_not_the_last_one() -> None:
    """Else a probe reads that deliveries are accepted while each is answered with 503."""
    router = OutcomeRouter(store=Away())
    middleware = CallOutcomeMiddleware(route, router=router, path="/callbacks", auth=None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(middleware), base_url="https://app.example") as client:
        answer = await client.post("/callbacks", content=delivery(event()))
    health = await router.health()
    assert (answer.status_code, health.last_delivery, health.deliveries) == (503, None, {"unavailable": 1})
