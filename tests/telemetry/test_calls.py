"""``ringback.calls``: each call is counted once, whatever came of it and however often the service said so."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import NoOpTracerProvider

from accepting import received_of
from ringback import CallbackHandler, GiveUp, HookPolicy, Outcome, OutcomeRouter, RedialPolicy, Retry, StoreUnavailable
from ringback.hooks.dispatcher import Dispatcher
from ringback.logs import LogObserver
from ringback.stores import MemoryStore
from ringback.stores.sqlite import SQLiteStore
from ringback.telemetry import Telemetry
from ringback_catalog import Cause

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ringback.work.delivery_store import DeliveryStore

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
CALL = "1f0e5c1a-0000-4000-8000-000000000002"
BUSY = {"cause": "busy", "category": "Success", "disposition": "retryable", "retry_action": "place_call"}
UNREPORTED = {"cause": "unreported", "category": "Unknown", "disposition": "terminal", "retry_action": "none"}
HUNG_UP = {"cause": "hung_up", "category": "Success", "disposition": "terminal", "retry_action": "none"}


class Count:
    """What ``ringback.calls`` says, with a clock that the test turns."""

    def __init__(self) -> None:
        self.now = 0.0
        self._reader = InMemoryMetricReader()
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.telemetry = Telemetry(meters, NoOpTracerProvider(), clock=lambda: self.now)

    def calls(self) -> list[tuple[dict[str, Any], int | float]]:
        found = self._reader.get_metrics_data()
        assert found is not None
        return [
            (dict(point.attributes or {}), point.value)  # type: ignore[union-attr]
            for each in found.resource_metrics[0].scope_metrics[0].metrics
            if each.name == "ringback.calls"
            for point in each.data.data_points
        ]


@pytest.fixture
def count() -> Count:
    return Count()


def event(name: str = "CallDisconnected", leg: str | None = LEG, code: int = 486, subcode: int = 560486) -> Any:
    result = {"code": code, "subCode": subcode, "message": "Busy here."}
    return {
        "id": f"{name}-{leg}",
        "source": f"calling/callConnections/{leg}",
        "type": f"Microsoft.Communication.{name}",
        "specversion": "1.0",
        "data": {"callConnectionId": leg, "correlationId": CALL, "resultInformation": result},
    }


def outcomes(*events: Any) -> tuple[Outcome, ...]:
    return received_of(json.dumps(events)).outcomes


def a_minute_later() -> float:
    return time.time() + 60


async def settled(until: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not until():  # noqa: ASYNC110 - it is not ours to set an event
            await asyncio.sleep(0.005)


@pytest.fixture
def settle() -> float:
    return 0.3


@pytest.fixture(params=["nobody asks", "hooks in memory", "hooks and a store", "a store without hooks"])
def handler(request: pytest.FixtureRequest, count: Count, tmp_path: Path, settle: float) -> CallbackHandler:
    store = SQLiteStore(tmp_path / "ringback.db") if "store" in request.param else None
    router = OutcomeRouter(settle=settle, store=store, telemetry=count.telemetry)
    if "hooks" in request.param.split()[0]:

        @router.on_retryable
        def call_again(outcome: Outcome) -> None: ...

    return CallbackHandler(router, auth=None)


@pytest.mark.parametrize("turned", [False, True], ids=["disconnected first", "create failed first"])
async def test_a_call_that_is_reported_four_times_is_one(count: Count, handler: CallbackHandler, turned: bool) -> None:
    """Two events end a call that could not be created, in either order, and each may come again, early or late."""
    bodies = [json.dumps([event(name)]).encode() for name in ("CallDisconnected", "CreateCallFailed")]
    bodies = bodies[::-1] if turned else bodies
    hung_up = json.dumps([event(leg="leg-2", code=200, subcode=0)]).encode()
    for body in [*bodies, bodies[0], hung_up]:
        assert (await handler.handle(body, {})).status == 200
    count.now = 0.3
    await settled(lambda: len(count.calls()) == 2)
    for body in (*bodies, hung_up):
        assert (await handler.handle(body, {})).status == 200
    await handler.drain(60)
    count.now = 60.0
    assert sorted(count.calls(), key=repr) == [(BUSY, 1), (HUNG_UP, 1)]


@pytest.mark.parametrize("settle", [30.0])
async def test_what_waits_is_counted_when_the_app_ends(count: Count, handler: CallbackHandler, tmp_path: Path) -> None:
    """In memory at once, since it will never settle; with a store by whoever works on it next."""
    assert (await handler.handle(json.dumps([event()]).encode(), {})).status == 200
    await handler.drain(60)
    if handler._receiver.engine.durable:
        assert count.calls() == []
        store = SQLiteStore(tmp_path / "ringback.db", clock=a_minute_later)
        successor = Dispatcher(
            OutcomeRouter(), LogObserver(), store=store, telemetry=count.telemetry, clock=a_minute_later
        )
        await successor.start()
        await settled(count.calls)
        await successor.drain(60)
    assert count.calls() == [(BUSY, 1)]


async def test_a_reason_that_comes_late_ends_no_second_call(count: Count, handler: CallbackHandler) -> None:
    """The hooks are told once more, with the reason; the call was counted."""
    unreported = event()
    del unreported["data"]["resultInformation"]
    assert (await handler.handle(json.dumps([unreported]).encode(), {})).status == 200
    count.now = 0.3
    await settled(count.calls)
    for name in ("CreateCallFailed", "CallDisconnected"):
        assert (await handler.handle(json.dumps([event(name)]).encode(), {})).status == 200
    await handler.drain(60)
    count.now = 60.0
    assert count.calls() == [(UNREPORTED, 1)]


async def test_operations_are_no_calls(count: Count, handler: CallbackHandler) -> None:
    """A failed operation is an outcome; the call goes on."""
    for name in ("PlayFailed", "RecognizeFailed", "CallConnected"):
        assert (await handler.handle(json.dumps([event(name)]).encode(), {})).status == 200
    await handler.drain(60)
    assert count.calls() == []


def made(router: OutcomeRouter, count: Count, store: DeliveryStore, **more: Any) -> Dispatcher:
    more = {"settle": 0.0, "telemetry": count.telemetry} | more
    return Dispatcher(router, LogObserver(), store=store, **more)


async def test_with_worker_false_the_worker_counts(count: Count, tmp_path: Path) -> None:
    """Who receives and who works have telemetry of their own, and a call is counted by one of them."""
    worker = Count()
    router = OutcomeRouter()
    called = asyncio.Event()
    router.on_retryable(name="called")(lambda _: called.set())
    receives = made(router, count, SQLiteStore(tmp_path / "ringback.db"), worker=False)
    works = made(router, worker, SQLiteStore(tmp_path / "ringback.db", poll=0.05))
    await receives.accept(outcomes(event(), event("CreateCallFailed")))
    await works.start()
    await asyncio.wait_for(called.wait(), 60)
    await receives.accept(outcomes(event()))
    await receives.drain(60)
    await works.drain(60)
    assert (count.calls(), worker.calls()) == ([], [(BUSY, 1)])


@pytest.mark.parametrize("kept", ["memory", "sqlite"])
async def test_an_attempt_again_and_a_replay_count_nothing(count: Count, tmp_path: Path, kept: str) -> None:
    """A hook that asks to be called again, gives up, and is replayed by a person is still of one call."""
    store: DeliveryStore = MemoryStore() if kept == "memory" else SQLiteStore(tmp_path / "ringback.db", poll=0.05)
    router = OutcomeRouter()
    answers = iter([Retry("later", after=0.0), GiveUp("no"), GiveUp("still no")])
    ends = []

    @router.on_retryable
    def call_again(outcome: Outcome) -> None:
        answer = next(answers)
        if isinstance(answer, GiveUp):
            ends.append(answer)
        raise answer

    dispatcher = made(router, count, store, hooks=HookPolicy())
    await dispatcher.accept(outcomes(event()))
    for round_ in (1, 2):
        await settled(lambda round_=round_: len(ends) == round_)
        async with asyncio.timeout(60):
            while not await store.dead():  # noqa: ASYNC110 - it is not ours to set an event
                await asyncio.sleep(0.005)
        if round_ == 1:
            assert await store.replay(f"call:{LEG}")
            # In memory nobody looks again by itself.
            await dispatcher.accept(outcomes(event(leg="leg-2", code=200, subcode=0)))
    await dispatcher.drain(60)
    assert sorted(count.calls(), key=repr) == [(BUSY, 1), (HUNG_UP, 1)]


async def test_a_call_that_may_not_be_made_again_is_counted_as_its_line_says(count: Count) -> None:
    """What a redial policy allows is counted by ``ringback.redials``: the call ended as it ended."""
    router = OutcomeRouter()

    policy = RedialPolicy(hours=None, delays={Cause.BUSY: 0.0}, max_attempts=1)

    @router.redial(policy=policy, contact=lambda _: "contact-1")
    async def call(outcome: Outcome) -> None: ...

    told = asyncio.Event()
    router.on_terminal(name="told")(lambda _: told.set())
    dispatcher = made(router, count, MemoryStore())
    await dispatcher.accept(outcomes(event()))
    await asyncio.wait_for(told.wait(), 60)
    await dispatcher.drain(60)
    assert count.calls() == [(BUSY, 1)]


class Away(SQLiteStore):
    """A store that cannot be used."""

    async def put(self, items: Any) -> Any:
        raise StoreUnavailable(f"{len(items)} items cannot be kept")


async def test_what_is_kept_in_memory_instead_is_counted(count: Count, tmp_path: Path) -> None:
    """While the store is away, with ``on_store_failure="inline"``, with hooks and without."""
    for number, router in enumerate((OutcomeRouter(), OutcomeRouter()), start=1):
        if number == 2:
            router.on_retryable(name="none")(lambda _: None)
        store = Away(tmp_path / f"{number}.db")
        dispatcher = made(router, count, store, on_store_failure="inline")
        await dispatcher.accept(outcomes(event(), event("CreateCallFailed")))
        await dispatcher.drain(60)
        assert count.calls() == [(BUSY, number)]


def lasted(count: Count) -> list[tuple[dict[str, Any], int, float]]:
    """What ``ringback.call.duration`` says: attributes, how many calls, seconds in all."""
    found = count._reader.get_metrics_data()
    assert found is not None
    return [
        (dict(point.attributes or {}), point.count, point.sum)  # type: ignore[union-attr]
        for each in found.resource_metrics[0].scope_metrics[0].metrics
        if each.name == "ringback.call.duration"
        for point in each.data.data_points
    ]


async def test_how_long_answered_calls_lasted(count: Count, handler: CallbackHandler) -> None:
    """By the events' own times; a call that nobody answered is none of them."""
    begun = event("CallConnected", code=200, subcode=0) | {"time": "2026-01-15T09:30:02.5Z"}
    hung_up = event(code=200, subcode=560000) | {"time": "2026-01-15T09:30:44.25Z"}
    for told in (begun, hung_up, hung_up, event(leg="leg-2")):
        assert (await handler.handle(json.dumps([told]).encode(), {})).status == 200
    await settled(lambda: lasted(count))
    await handler.drain(60)
    assert lasted(count) == [({"cause": "hung_up"}, 1, 41.75)]
