"""The loop of a worker: nothing is left lying, and nothing that has happened is forgotten."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ringback.core.outcome import classify
from ringback.exceptions import StoreUnavailable
from ringback.stores import claims as module
from ringback.stores.claims import ClaimLoop
from ringback.work.items import Claim, Item, Kind, Settlement, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DONE = Settlement(State.DONE)


def claim(key: str) -> Claim:
    return Claim(Item(key, Kind.OUTCOME, 0.0, classify(None, 486, 0)), 1)


class Fake:
    """Claims to give, and what became of them. ``broken`` operations fail so often."""

    def __init__(self, *keys: str) -> None:
        self.waiting = [claim(key) for key in keys]
        self.log: list[tuple[str, str]] = []
        self.settled: list[Settlement] = []
        self.broken: dict[str, int] = {}
        self.next: float | None = None
        self.delay = 0.0

    def _break(self, name: str) -> None:
        if self.broken.get(name, 0):
            self.broken[name] -= 1
            raise StoreUnavailable(name)

    async def claim(self, limit: int, _: Kind) -> tuple[Sequence[Claim], float | None]:
        await asyncio.sleep(self.delay)
        self._break("claim")
        given, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return given, self.next

    async def settle(self, claim: Claim, settlement: Settlement) -> None:
        self._break("settle")
        self.settled.append(settlement)
        self.log.append((claim.item.key, settlement.state.value))

    async def give_back(self, claim: Claim) -> None:
        self._break("give_back")
        self.log.append((claim.item.key, "given back"))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAULT_PAUSE", 0.02)
    monkeypatch.setattr(module, "GRACE", 0.1)


async def finishes(_: Claim) -> Settlement:
    return DONE


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - whatever it asks
            await asyncio.sleep(0.005)


async def test_faults_of_the_store_are_told_and_survived() -> None:
    """A claim is asked for again; a settlement is written again, until it is."""
    store, faults = Fake("a"), list[str]()
    store.broken = {"claim": 2, "settle": 2}
    loop = ClaimLoop(store, Kind.OUTCOME, poll=None, on_fault=lambda error: faults.append(str(error)))
    task = asyncio.create_task(loop.run(finishes, 2))
    await until(lambda: bool(store.log))
    assert await loop.stop(5.0) == 0
    await task
    assert store.log == [("a", "done")]
    assert faults == ["claim", "claim", "settle", "settle"]
    assert not loop.working
    assert not loop.ending


@pytest.mark.parametrize(("kind", "waits"), [(Kind.OUTCOME, 10.0), (Kind.REDIAL, 3610.0)])
async def test_what_is_written_late_waits_for_no_clock_that_was_set_back_meanwhile(kind: Kind, waits: float) -> None:
    """A store may be away for as long as somebody needs to set the clock. A redial waits for a time of the day."""
    store, now = Fake("a"), [10_000.0]
    store.broken = {"settle": 1}

    def fault(_: Exception) -> None:
        now[0] -= 3600

    async def fails(_: Claim) -> Settlement:
        return Settlement(State.READY, due_at=now[0] + 10)

    loop = ClaimLoop(store, kind, poll=None, clock=lambda: now[0], on_fault=fault)
    task = asyncio.create_task(loop.run(fails, 2))
    await until(lambda: bool(store.log))
    await loop.stop(5.0)
    await task
    assert [settlement.due_at - now[0] for settlement in store.settled] == [waits]


async def test_a_settlement_is_tried_until_the_worker_must_end() -> None:
    """While a stop still waits, it is; then the lease ends by itself. It is not given back: its hook has run."""
    store, faults = Fake("a"), list[str]()
    store.broken = {"settle": 10**6}
    loop = ClaimLoop(store, Kind.OUTCOME, poll=None, on_fault=lambda error: faults.append(str(error)))
    task = asyncio.create_task(loop.run(finishes, 2))
    await until(lambda: bool(faults))
    assert await loop.stop(0.1) == 1
    await task
    assert len(faults) > 2
    assert store.log == []


async def test_what_cannot_be_given_back_is_left_to_its_lease() -> None:
    """The end of a worker does not wait for a store that is down."""
    store, faults = Fake("a"), list[str]()
    store.broken = {"give_back": 10**6}
    begun = asyncio.Event()

    async def hangs(_: Claim) -> Settlement:
        begun.set()
        await asyncio.Event().wait()
        return DONE

    loop = ClaimLoop(store, Kind.OUTCOME, poll=None, on_fault=lambda error: faults.append(str(error)))
    task = asyncio.create_task(loop.run(hangs, 2))
    await begun.wait()
    assert await loop.stop(0.0) == 1
    await asyncio.wait_for(task, 5)
    assert faults == ["give_back"]


async def test_a_hook_that_will_not_be_cancelled_is_left_to_its_fate() -> None:
    """The worker ends without it; what it says in the end is written nevertheless."""
    store = Fake("a")
    begun, release = asyncio.Event(), asyncio.Event()

    async def deaf(_: Claim) -> Settlement:
        begun.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return DONE

    loop = ClaimLoop(store, Kind.OUTCOME, poll=0.05)
    task = asyncio.create_task(loop.run(deaf, 2))
    await begun.wait()
    assert await loop.stop(0.0) == 1
    await asyncio.wait_for(task, 5)
    assert store.log == []
    release.set()
    await until(lambda: bool(store.log))
    assert store.log == [("a", "done")]


async def test_what_is_claimed_when_it_is_too_late_is_given_back() -> None:
    """A claim that was under way when the time was over begins nothing."""
    store = Fake("a", "b")
    store.delay = 0.1
    loop = ClaimLoop(store, Kind.OUTCOME, poll=None)
    task = asyncio.create_task(loop.run(finishes, 2))
    await asyncio.sleep(0.02)
    assert await loop.stop(0.0) == 0
    await asyncio.wait_for(task, 5)
    assert sorted(store.log) == [("a", "given back"), ("b", "given back")]


async def test_a_run_that_is_cancelled_gives_back_too() -> None:
    """Whoever cancels the task instead of stopping loses nothing either, and stops nobody."""
    store = Fake("a")
    begun = asyncio.Event()

    async def hangs(_: Claim) -> Settlement:
        begun.set()
        await asyncio.Event().wait()
        return DONE

    loop = ClaimLoop(store, Kind.OUTCOME, poll=0.01)
    task = asyncio.create_task(loop.run(hangs, 2))
    await begun.wait()
    await asyncio.sleep(0.03)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert store.log == [("a", "given back")]
    assert await loop.stop(1.0) == 0


async def test_no_run_is_lost_where_two_event_loops_start_in_the_same_instant() -> None:
    """A run that the loop does not know is neither woken nor stopped."""
    loop = ClaimLoop(Fake(), Kind.OUTCOME, poll=None)

    def start() -> None:
        loop.run(finishes, 1).close()

    others = [start]

    def is_closed() -> bool:
        # The other event loop starts while the first one asks this.
        while others:
            others.pop()()
        return True

    start()
    closed: Any = SimpleNamespace(is_closed=is_closed)
    loop._runs[0].loop = closed
    start()
    assert len([run for run in loop._runs if run.loop is not closed]) == 2


async def test_wakes_from_another_thread_are_heard() -> None:
    """A put in another loop wakes the worker of this one; one of a loop that is gone bothers nobody."""
    store = Fake()
    loop = ClaimLoop(store, Kind.OUTCOME, poll=None)
    gone = asyncio.new_event_loop()

    async def runs() -> None:
        await loop.run(finishes, 1)

    left = gone.create_task(runs())
    left._log_destroy_pending = False  # type: ignore[attr-defined]
    task = asyncio.create_task(loop.run(finishes, 1))
    await asyncio.sleep(0.02)

    async def put() -> None:
        store.waiting.append(claim("a"))
        loop.wake(0.0)

    await asyncio.to_thread(asyncio.run, put())
    await until(lambda: bool(store.log))
    await loop.stop(5.0)
    await task
    left.get_coro().close()  # type: ignore[union-attr]
    gone.close()


def test_a_loop_that_is_gone_is_forgotten() -> None:
    """It is neither waited for nor woken in vain; the next run begins anew."""
    store = Fake("a")
    loop = ClaimLoop(store, Kind.OUTCOME, poll=None)
    gone = asyncio.new_event_loop()

    async def runs() -> None:
        await loop.run(finishes, 1)

    left = gone.create_task(runs())
    gone.run_until_complete(asyncio.sleep(0.01))
    left._log_destroy_pending = False  # type: ignore[attr-defined]
    gone.close()
    assert not loop.working

    async def main() -> None:
        loop.wake(0.0)
        assert await loop.stop(1.0) == 0
        store.waiting.append(claim("b"))
        task = asyncio.create_task(loop.run(finishes, 1))
        await until(lambda: len(store.log) == 2)
        await loop.stop(5.0)
        await task

    asyncio.run(main())
    assert store.log == [("a", "done"), ("b", "done")]


async def test_an_earlier_time_wakes_and_a_later_does_not() -> None:
    """Only what is due before the next look is a reason to look."""
    store = Fake()
    asked = 0
    original = store.claim

    async def counted(limit: int, kind: Kind) -> tuple[Sequence[Claim], float | None]:
        nonlocal asked
        asked += 1
        return await original(limit, kind)

    store.claim = counted  # type: ignore[method-assign]
    store.next = time.time() + 60
    loop = ClaimLoop(store, Kind.OUTCOME, poll=None)
    task = asyncio.create_task(loop.run(finishes, 1))
    await until(lambda: asked == 1)
    await asyncio.sleep(0.01)
    loop.wake(time.time() + 90)
    await asyncio.sleep(0.01)
    assert asked == 1
    loop.wake(time.time() + 30)
    await until(lambda: asked == 2)
    loop.wake()
    await until(lambda: asked == 3)
    await loop.stop(5.0)
    await task


@pytest.mark.parametrize("seconds", [60.0, 0.0])
async def test_what_is_put_during_a_look_is_looked_for_when_it_is_due(seconds: float) -> None:
    """Not before: under load something is put with every look, and each would be followed by another in vain."""
    store = Fake()
    asked = 0
    looking, seen = asyncio.Event(), asyncio.Event()

    async def slow(_: int, __: Kind) -> tuple[Sequence[Claim], float | None]:
        nonlocal asked
        asked += 1
        given, store.waiting = store.waiting, []
        if asked == 1:
            looking.set()
            await seen.wait()
        return given, None

    store.claim = slow  # type: ignore[method-assign]
    loop = ClaimLoop(store, Kind.OUTCOME, poll=None)
    task = asyncio.create_task(loop.run(finishes, 4))
    await looking.wait()
    for key in "ab":
        store.waiting.append(claim(key))
        loop.wake(time.time() + seconds)
    seen.set()
    if seconds:
        await asyncio.sleep(0.02)
        assert asked == 1
        loop.wake()
    await until(lambda: len(store.log) == 2)
    await loop.stop(5.0)
    await task


async def test_nobody_hears_of_faults_unless_he_asks() -> None:
    """Without on_fault a fault is survived all the same."""
    store = Fake("a")
    store.broken = {"claim": 1}
    loop = ClaimLoop(store, Kind.OUTCOME, poll=None)
    task = asyncio.create_task(loop.run(finishes, 1))
    await until(lambda: bool(store.log))
    await loop.stop(5.0)
    await task
