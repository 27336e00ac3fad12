"""The time limit of a body: each ends as :func:`asyncio.timeout` would have it, and one timer watches over all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.receiving.replies import too_slow
from ringback.web.body import BodyReader

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Hours(asyncio.SelectorEventLoop):
    """An event loop whose clock is set to the next timer as soon as nothing else is to do."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.timers: list[float] = []
        select = self._selector.select  # type: ignore[attr-defined]

        def skip(timeout: float | None) -> Any:
            self.now += timeout or 0.0
            return select(0)

        self._selector.select = skip  # type: ignore[attr-defined]

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, *args: Any, **more: Any) -> asyncio.TimerHandle:
        self.timers.append(when)
        return super().call_at(when, *args, **more)


def run(work: Callable[[Hours], Coroutine[Any, Any, Any]]) -> Any:
    with asyncio.Runner(loop_factory=Hours) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Hours)
        return runner.run(work(loop))


LARGEST = 100
LATE = too_slow(10)
Receive = Callable[[], Awaitable[Any]]


def after(seconds: float) -> Receive:
    """What gives a whole body after so much time."""

    async def receive() -> Any:
        await asyncio.sleep(seconds)
        return {"type": "http.request", "body": b"done"}

    return receive


async def theirs(receive: Receive, seconds: float) -> Any:
    """The same with a time-out of its own for each body."""
    try:
        async with asyncio.timeout(seconds or None):
            return (await receive())["body"]
    except TimeoutError:
        return too_slow(seconds)


@given(bodies=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=12), seconds=st.integers(0, 20))
def test_each_body_ends_as_with_a_time_out_of_its_own(bodies: list[tuple[int, int]], seconds: int) -> None:
    """Whenever it begins and however long it takes; 0 is any time."""

    async def one(begins: int, lasts: int, read: Callable[[Receive], Awaitable[Any]]) -> tuple[Any, float]:
        await asyncio.sleep(begins)
        # Half a second off, so that none ends in the very moment of its limit.
        end = await read(after(lasts + 0.5))
        return end, round(asyncio.get_running_loop().time(), 3)

    async def all_of_them(read: Callable[[Receive], Awaitable[Any]]) -> Any:
        return await asyncio.gather(*(one(begins, lasts, read) for begins, lasts in bodies))

    reader = BodyReader(seconds)
    ours = run(lambda _: all_of_them(lambda receive: reader.read(receive, LARGEST)))
    assert ours == run(lambda _: all_of_them(lambda receive: theirs(receive, seconds)))


def test_one_timer_watches_over_all() -> None:
    """A hundred bodies one after the other and a hundred at once set one timer, for the first of them."""

    async def work(loop: Hours) -> list[float]:
        reader = BodyReader(10)

        async def receive() -> Any:
            return {"type": "http.request", "body": b"done"}

        for _ in range(100):
            assert await reader.read(receive, LARGEST) == b"done"
        await asyncio.gather(*(reader.read(receive, LARGEST) for _ in range(100)))
        return loop.timers

    assert run(work) == [1010.0]


def test_the_timer_of_a_body_that_came_is_set_for_the_next() -> None:
    """A body that began later has its whole time."""

    async def work(loop: Hours) -> tuple[list[Any], list[float]]:
        reader = BodyReader(10)
        first = asyncio.create_task(reader.read(after(7), LARGEST))
        await asyncio.sleep(5)
        ends = [await reader.read(after(100), LARGEST), await first]
        return ends, [each for each in loop.timers if each in (1010.0, 1015.0)]

    assert run(work) == ([LATE, b"done"], [1010.0, 1015.0])


def test_somebody_else_s_cancellation_stays_one() -> None:
    """Also where both come at once: who cancelled the task decides what becomes of it."""

    async def work(loop: Hours) -> tuple[bool, bool, int]:
        reader = BodyReader(10)
        first = asyncio.create_task(reader.read(after(100), LARGEST))
        both = asyncio.create_task(reader.read(after(100), LARGEST))
        await asyncio.sleep(1)
        first.cancel()
        loop.call_at(1010.0, both.cancel)
        await asyncio.wait([first, both])
        return first.cancelled(), both.cancelled(), both.cancelling()

    assert run(work) == (True, True, 1)


def test_a_task_that_was_too_slow_goes_on_uncancelled() -> None:
    """Whether the server lets the cancellation through or answers it: the route after it is nobody's to cancel."""

    async def stubborn() -> Any:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return {"type": "http.disconnect"}
        raise AssertionError

    async def work(_: Hours) -> tuple[Any, Any, int]:
        reader = BodyReader(10)
        ends = await reader.read(stubborn, LARGEST), await reader.read(after(100), LARGEST)
        task = asyncio.current_task()
        assert task is not None
        return *ends, task.cancelling()

    assert run(work) == (None, LATE, 0)


def test_an_app_may_live_in_several_event_loops() -> None:
    """The second has a timer of its own, though that of the first never came to its end."""
    reader = BodyReader(10)
    read = [run(lambda _, seconds=each: reader.read(after(seconds), LARGEST)) for each in (1, 100, 100)]
    assert read == [b"done", LATE, LATE]


@pytest.mark.parametrize("seconds", [0, 10])
def test_a_fault_of_the_server_is_its_own(seconds: float) -> None:
    """Raised as it is."""

    async def faulty() -> Any:
        await asyncio.sleep(1)
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        run(lambda _: BodyReader(seconds).read(faulty, LARGEST))
