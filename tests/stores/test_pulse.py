"""The thread that keeps leases while the event loop stands still."""

from __future__ import annotations

import asyncio
import threading
import time
from itertools import count

from ringback.stores.leases import Pulse


class Seen:
    """What a pulse does. The test waits for it while its own loop stands still."""

    def __init__(self) -> None:
        self.blocked: list[tuple[str | None, float]] = []
        self.renewals = 0
        self._changed = threading.Condition()

    def renew(self) -> None:
        with self._changed:
            self.renewals += 1
            self._changed.notify_all()

    def block(self, task: str | None, seconds: float) -> None:
        with self._changed:
            self.blocked.append((task, seconds))
            self._changed.notify_all()

    def wait(self, *, renewals: int = 0, lines: int = 0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.renewals >= renewals and len(self.blocked) >= lines, 30)


def pulses() -> int:
    return [thread.name for thread in threading.enumerate()].count("ringback-pulse")


async def ended() -> None:
    async with asyncio.timeout(30):
        while pulses():  # noqa: ASYNC110 - a thread's end sets no event
            await asyncio.sleep(0.01)


async def test_a_loop_that_stands_still_keeps_its_leases_and_is_said() -> None:
    """With the task that runs, and for how long so far; soon, again after a lease, once more when the loop goes on."""
    seen = Seen()
    pulse = Pulse(0.3, seen.renew, seen.block)

    async def blocks() -> None:
        seen.wait(renewals=3, lines=2)

    await asyncio.create_task(blocks(), name="the task that blocks")
    await asyncio.to_thread(seen.wait, lines=3)
    pulse.stop()
    await ended()
    assert {task for task, _ in seen.blocked} == {"the task that blocks"}
    seconds = [round(seconds, 2) for _, seconds in seen.blocked]
    assert seconds == sorted(seconds)
    assert seconds[0] >= 0.1
    assert seconds[1] >= seconds[0] + 0.3


async def test_a_loop_that_stands_still_is_said_before_a_lease_is_over() -> None:
    """Else the server that watches its processes ends this one first, and nobody hears which hook it was."""
    seen = Seen()
    pulse = Pulse(0.36, seen.renew, seen.block, monotonic=map((0.04).__mul__, count()).__next__)

    async def blocks() -> None:
        seen.wait(lines=1)

    await asyncio.create_task(blocks(), name="the task that blocks")
    pulse.stop()
    await ended()
    assert seen.blocked[0][0] == "the task that blocks"
    assert 0.12 <= seen.blocked[0][1] < 0.36


async def test_a_loop_that_stands_still_for_a_short_time_is_no_matter() -> None:
    """Every app does that now and then."""
    seen = Seen()
    pulse = Pulse(30.0, seen.renew, seen.block)
    await asyncio.sleep(0.01)
    time.sleep(0.01)  # noqa: ASYNC251
    await asyncio.sleep(0.01)
    pulse.stop()
    assert (seen.blocked, seen.renewals) == ([], 0)


async def test_what_blocks_may_be_no_task() -> None:
    """A callback of the app's own has no name."""
    seen = Seen()
    pulse = Pulse(0.12, seen.renew, seen.block)
    asyncio.get_running_loop().call_soon(lambda: seen.wait(lines=1))
    await asyncio.sleep(0.05)
    pulse.stop()
    await ended()
    assert seen.blocked[0][0] is None


async def test_who_renews_by_itself_needs_no_thread_for_it() -> None:
    """Only what the loop has not done for half of the lease is done by the thread."""
    seen = Seen()
    pulse = Pulse(3.0, seen.renew, seen.block)
    for _ in range(20):
        pulse.beat()
        await asyncio.sleep(0.02)
    pulse.stop()
    await ended()
    assert seen.renewals == 0


async def test_a_loop_that_renews_nothing_is_helped_though_it_runs() -> None:
    """Its renewal may hang in a full queue."""
    seen = Seen()
    pulse = Pulse(0.1, seen.renew, seen.block)
    await asyncio.to_thread(seen.wait, renewals=2)
    pulse.stop()
    await ended()


def test_a_loop_that_nobody_runs_any_more_keeps_nothing() -> None:
    """Its work is nobody's, and another worker takes it over."""
    seen, loop = Seen(), asyncio.new_event_loop()

    async def begins() -> None:
        Pulse(0.05, seen.renew, seen.block)

    loop.run_until_complete(begins())
    end = time.monotonic() + 30
    while pulses():
        assert time.monotonic() < end
        time.sleep(0.01)
    loop.close()
    assert seen.blocked == []
