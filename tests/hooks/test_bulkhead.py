"""Sync hooks that take too long: what they cost others, and what their late returns are worth."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from dispatching import RETRYABLE, Bench, Fake, told, until
from ringback import HookPolicy, Outcome
from ringback.core.events import Result
from ringback.stores import MemoryStore, Stats
from ringback.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Hangs:
    """A sync hook that returns, or raises, when the test says so."""

    def __init__(self, error: Exception | None = None, answer: object = None) -> None:
        self.calls = 0
        self.go = threading.Event()
        self._error, self._answer = error, answer

    def released(self) -> Hangs:
        self.go.set()
        return self

    def __call__(self, _: Outcome) -> object:
        self.calls += 1
        assert self.go.wait(30)
        if self._error is not None:
            raise self._error
        return self._answer


HUNG_UP = Result(200, 560000)
QUICK = HookPolicy(attempts=3, backoff=0.0, timeout=0.05, concurrency=2)


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Bench]:
    def make(policy: HookPolicy) -> Bench:
        store = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "ringback.db", poll=0.05)
        return Bench(store=store, clock=time.time, hooks=policy)

    return make


async def stats(bench: Bench) -> Stats:
    return await bench.store.stats()


async def comes_to(bench: Bench, **counts: int) -> None:
    """Wait until the store counts these items."""
    wanted = Stats(**counts)
    async with asyncio.timeout(20):
        while (found := await stats(bench)) != wanted:  # noqa: ASYNC110 - the store sets no event
            await asyncio.sleep(0.02)
    assert found == wanted


@pytest.mark.parametrize("again", [True, False], ids=["tried-again", "given-up"])
async def test_a_late_return_settles_the_item(make: Callable[..., Bench], again: bool) -> None:
    """The hook has done its work; nobody calls it again, and no dead letter says that it failed."""
    bench = make(HookPolicy(attempts=3, backoff=3600.0, timeout=0.05, retry_errors=again))
    hook = Hangs()
    bench.router.on_retryable(name="hangs")(hook)
    await bench.dispatcher.accept([RETRYABLE])
    await comes_to(bench, ready=int(again), dead=int(not again))
    hook.go.set()
    await comes_to(bench, done=1)
    await bench.dispatcher.drain(5)
    assert hook.calls == 1
    assert [line[0] for line in bench.observer.told] == ["overran", "failed"]
    assert bench.observer.told[0] == ("overran", RETRYABLE, "hangs", 0.05, 1, 16)


async def awaited() -> None: ...


@pytest.mark.parametrize("what", [ValueError(), awaited], ids=["raises", "awaitable"])
async def test_what_raises_too_late_stays_failed(make: Callable[..., Bench], what: Any) -> None:
    """It was counted as failed when its time was over; and nobody awaits what comes so late."""
    hook = Hangs(what) if isinstance(what, Exception) else Hangs(answer=what())
    bench = make(HookPolicy(attempts=1, timeout=0.05))
    bench.router.on_retryable(name="hangs")(hook)
    await bench.dispatcher.accept([RETRYABLE])
    await comes_to(bench, dead=1)
    hook.go.set()
    await until(lambda: not bench.dispatcher._hooks.bulkhead._overran)
    await bench.dispatcher.drain(5)
    assert await stats(bench) == Stats(dead=1)


async def test_no_attempt_begins_while_an_earlier_one_runs(make: Callable[..., Bench]) -> None:
    """Each would hold one more thread. They fail at once, and the last one makes a dead letter, until the return."""
    bench = make(QUICK)
    hook = Hangs()
    bench.router.on_retryable(name="hangs")(hook)
    await bench.dispatcher.accept([RETRYABLE])
    await comes_to(bench, dead=1)
    (letter,) = await bench.store.dead()
    assert letter.reason == "hangs: TimeoutError: an earlier attempt has overrun its time-out, and still runs"
    assert (hook.calls, letter.attempts) == (1, 3)
    hook.go.set()
    await comes_to(bench, done=1)
    await bench.dispatcher.drain(5)


async def test_a_late_return_leaves_the_other_hooks_of_the_item(make: Callable[..., Bench]) -> None:
    """Only this hook has returned; the other one is called again when its time comes."""
    bench = make(HookPolicy(attempts=2, backoff=3600.0, jitter=0.0, timeout=0.05))
    hangs, other = Hangs(), Hangs(ValueError("no line"))
    other.go.set()
    bench.router.on_retryable(name="hangs")(hangs)
    bench.router.on_retryable(name="other")(other)
    await bench.dispatcher.accept([RETRYABLE])
    await comes_to(bench, ready=1)
    hangs.go.set()
    await until(lambda: bench.dispatcher._hooks.bulkhead._threads.overran == 0)
    await asyncio.sleep(0.1)
    await bench.dispatcher.drain(0.1)
    assert (hangs.calls, other.calls) == (1, 1)


async def test_what_hangs_keeps_its_place_and_costs_no_other_hook_its_turn(make: Callable[..., Bench]) -> None:
    """What waits for a thread waits in the store, and so its time has not begun; the app's own threads are free."""
    bench = make(QUICK)
    hangs, good = Hangs(), list[str]()
    names: set[str] = set()

    @bench.router.on_terminal
    def returns(outcome: Outcome) -> None:
        names.add(threading.current_thread().name)
        good.append(outcome.outcome_id)

    bench.router.on_retryable(name="hangs")(hangs)
    await bench.dispatcher.accept([RETRYABLE])
    await until(lambda: hangs.calls)
    many = [told(leg=f"leg-{number}", result=HUNG_UP) for number in range(40)]
    await bench.dispatcher.accept(many)
    await until(lambda: len(good) == 40)
    assert sorted(good) == sorted(outcome.outcome_id for outcome in many)
    assert names == {"ringback-hook"}
    hangs.go.set()
    await comes_to(bench, done=41)
    await bench.dispatcher.drain(5)


async def test_with_every_thread_held_nothing_is_claimed_until_one_returns(make: Callable[..., Bench]) -> None:
    """A worker of another process may take it meanwhile, and nobody counts an attempt."""
    bench = make(HookPolicy(attempts=1, timeout=0.05, concurrency=8, threads=1))
    hangs, good = Hangs(), list[str]()
    bench.router.on_retryable(name="hangs")(hangs)
    bench.router.on_terminal(name="good")(lambda outcome: good.append(outcome.outcome_id))
    await bench.dispatcher.accept([RETRYABLE])
    await comes_to(bench, dead=1)
    await bench.dispatcher.accept([told(leg="another", result=HUNG_UP)])
    await asyncio.sleep(0.2)
    assert (await stats(bench)).ready == 1
    hangs.go.set()
    await until(lambda: good)
    await comes_to(bench, done=2)
    await bench.dispatcher.drain(5)


async def test_in_memory_a_drain_waits_for_a_place_that_is_held() -> None:
    """What waits there would be lost; after the time-out of the drain it is, and counted."""
    bench, hangs, good = Bench(hooks=HookPolicy(attempts=1, timeout=0.05, threads=1)), Hangs(), list[str]()
    bench.router.on_retryable(name="hangs")(hangs)
    bench.router.on_terminal(name="good")(lambda outcome: good.append(outcome.outcome_id))
    await bench.dispatcher.accept([RETRYABLE])
    await comes_to(bench, dead=1)
    await bench.dispatcher.accept([told(leg="another", result=HUNG_UP)])
    draining = asyncio.create_task(bench.dispatcher.drain(20))
    await asyncio.sleep(0.05)
    hangs.go.set()
    await draining
    assert good == ["call:another"]


def places(policy: HookPolicy, *hooks: Any) -> int:
    bench = Bench(hooks=policy)
    for number, hook in enumerate(hooks):
        bench.router.on_retryable(name=f"hook-{number}")(hook)
    return bench.dispatcher._places()


async def is_async(outcome: Outcome) -> None: ...


def is_sync(outcome: Outcome) -> None: ...


@pytest.mark.parametrize(
    ("policy", "hooks", "number"),
    [
        (HookPolicy(), [is_sync], 16),
        (HookPolicy(threads=20), [is_sync], 16),
        (HookPolicy(threads=4), [is_sync], 4),
        (HookPolicy(threads=4), [is_async, is_sync], 4),
        (HookPolicy(threads=4), [is_async], 16),
    ],
)
def test_no_more_is_claimed_than_there_are_threads_for(policy: HookPolicy, hooks: list[Any], number: int) -> None:
    """Async hooks need no thread."""
    assert places(policy, *hooks) == number


async def test_an_error_handler_that_hangs_is_said_and_costs_a_thread_alone() -> None:
    """Nothing is left to settle when it returns."""
    bench = Bench(hooks=HookPolicy(attempts=1, timeout=0.05))
    go = threading.Event()
    bench.router.on_retryable(name="hook")(Hangs(ValueError("no line")).released())
    bench.router.on_error(name="handler")(lambda outcome, error: go.wait(30))
    await bench.dispatch(RETRYABLE)
    go.set()
    assert [line[0] for line in bench.observer.told] == ["failed", "overran", "failed"]
    assert bench.observer.told[1] == ("overran", RETRYABLE, "handler", 0.05, 1, 16)
    assert await stats(bench) == Stats(dead=1)


async def test_an_error_handler_that_hangs_keeps_no_other_item_waiting() -> None:
    """A redial that waited for its thread had begun already: it was placed whatever was said of the contact since."""
    bench = Bench(hooks=HookPolicy(attempts=1, timeout=0.05, threads=1))
    go, called = threading.Event(), list[str | None]()

    def hook(outcome: Outcome) -> None:
        called.append(outcome.call_connection_id)
        if len(called) == 1:
            raise ValueError("no line")

    bench.router.on_retryable(name="hook")(hook)
    bench.router.on_error(name="handler")(lambda outcome, error: go.wait(30))
    await bench.dispatch(RETRYABLE)
    await bench.dispatch(told(leg="leg-2"))
    assert called == [RETRYABLE.call_connection_id, "leg-2"]
    go.set()


async def test_what_does_not_end_is_left_when_the_drain_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment kills what does not end in time, and the store has the item."""
    bench = Bench(store=Fake(Bench().clock))
    closing = asyncio.Event()

    async def close() -> None:
        closing.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(bench.store, "close", close)
    await bench.dispatcher.start()
    await bench.dispatcher.drain(0.0)
    assert closing.is_set()
