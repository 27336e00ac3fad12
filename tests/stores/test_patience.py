"""How long somebody waits for a future: no longer than was said, with one timer for all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ringback.stores.patience import Patience


def waits(patience: Patience, *, done: bool = False) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    patience.limit(future)
    if done:
        future.set_result(None)
    return future


async def test_who_waits_too_long_is_told_so() -> None:
    """Each after its own time; who was answered, or has gone, is left alone."""
    patience, order = Patience(0.02), list[str]()
    first, answered, gone = waits(patience), waits(patience, done=True), waits(patience)
    gone.cancel()
    await asyncio.sleep(0.01)
    second = waits(patience)
    first.add_done_callback(lambda _: order.append("first"))
    second.add_done_callback(lambda _: order.append("second"))
    for each in (first, second):
        with pytest.raises(TimeoutError):
            await each
    assert order == ["first", "second"]
    assert answered.result() is None
    assert gone.cancelled()


async def test_there_is_one_timer_and_nothing_is_kept_of_who_was_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are answered in time; the timer that finds nobody is the last until somebody waits again."""
    loop, timers = asyncio.get_running_loop(), list[float]()
    call_at = loop.call_at

    def counted(when: float, *arguments: Any, **named: Any) -> Any:
        timers.append(when)
        return call_at(when, *arguments, **named)

    monkeypatch.setattr(loop, "call_at", counted)
    patience = Patience(0.02)
    for _ in range(1000):
        waits(patience, done=True)
    (waiting,) = patience._all.values()
    assert len(timers) == 1
    assert len(waiting.futures) == 1
    await asyncio.sleep(0.04)
    waits(patience, done=True)
    monkeypatch.undo()
    assert len(waiting.futures) == 1
    assert sum(when > timers[0] for when in timers) == 2  # the pause of this test, and the new one


def test_each_loop_has_a_timer_of_its_own() -> None:
    """A future belongs to a loop; what was for one that is closed is forgotten."""
    patience = Patience(0.01)

    async def late() -> None:
        with pytest.raises(TimeoutError):
            await waits(patience)
        with pytest.raises(TimeoutError):
            await waits(patience)

    for _ in range(3):
        asyncio.run(late())
    assert len(patience._all) == 1


def test_loops_may_take_turns() -> None:
    """Each is known again."""
    patience = Patience(5.0)
    loops = [asyncio.new_event_loop() for _ in range(2)]

    async def ask() -> None:
        waits(patience, done=True)

    for _ in range(2):
        for loop in loops:
            loop.run_until_complete(ask())
    assert list(patience._all) == loops
    for loop in loops:
        loop.close()
