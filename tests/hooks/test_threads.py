"""The threads in which sync functions of the app run."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ringback.hooks.invoke import called
from ringback.hooks.threads import Call, Threads

if TYPE_CHECKING:
    from collections.abc import Callable


class Held:
    """A function that returns when the test says so."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go = threading.Event()

    def __call__(self) -> str:
        self.began.set()
        assert self.go.wait(30)
        return "returned"


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


async def test_threads_are_made_when_they_are_needed_and_no_more_than_may_be() -> None:
    """What finds no thread waits for one, in order; an idle thread is used again."""
    threads, held = Threads(2, "of-the-test"), [Held() for _ in range(3)]
    assert names().count("of-the-test") == 0
    tasks = [asyncio.create_task(called(each, (), threads=threads)) for each in held]
    await until(lambda: held[0].began.is_set() and held[1].began.is_set())
    assert (names().count("of-the-test"), held[2].began.is_set()) == (2, False)
    held[0].go.set()
    held[2].go.set()
    await until(held[2].began.is_set)
    held[1].go.set()
    assert await asyncio.gather(*tasks) == ["returned"] * 3
    assert await called(threading.get_ident, (), threads=threads) != threading.get_ident()
    assert names().count("of-the-test") == 2


async def test_an_idle_thread_ends() -> None:
    """A burst leaves nothing behind, and the next call makes a new thread."""
    threads = Threads(1, "short-lived", idle=0.01)
    assert await called(lambda: "one", (), threads=threads) == "one"
    await until(lambda: "short-lived" not in names())
    assert await called(lambda: "two", (), threads=threads) == "two"


async def test_a_call_that_comes_while_an_idle_thread_ends_is_done() -> None:
    """Between the end of its patience and its end a thread may get work."""
    threads = Threads(1, "in-between", idle=0.3)
    assert await called(lambda: "one", (), threads=threads) == "one"
    await until(lambda: bool(threads._idle))
    with threads._guard:
        # The thread has lost patience by now, and waits for the guard.
        time.sleep(0.6)  # noqa: ASYNC251
        call = Call(lambda: "two", (), {})
        threads._idle.pop().put(call)
    assert await call.answer == "two"


async def test_the_time_of_a_function_begins_when_the_function_does() -> None:
    """A function that waits for a thread is not late: it has not begun."""
    threads, first = Threads(1, "one"), Held()
    one = asyncio.create_task(called(first, (), threads=threads))
    two = asyncio.create_task(called(lambda: "in time", (), threads=threads, timeout=0.02))
    await asyncio.sleep(0.1)
    assert not two.done()
    first.go.set()
    assert await asyncio.gather(one, two) == ["returned", "in time"]


async def test_a_function_that_overruns_its_time_holds_its_thread_until_it_returns() -> None:
    """It cannot be stopped. What it comes to is told to whoever asked for that."""
    threads, held, late = Threads(2, "two"), Held(), list[asyncio.Future[str]]()
    with pytest.raises(TimeoutError):
        await called(held, (), threads=threads, timeout=0.02, overran=late.append)
    assert threads.overran == 1
    assert await called(lambda: "another", (), threads=threads) == "another"
    held.go.set()
    assert await late[0] == "returned"
    await until(lambda: threads.overran == 0)


async def test_what_returns_in_the_moment_of_its_time_out_has_returned() -> None:
    """The loop learns of the return later than the thread."""

    class Late(Threads):
        def overrun(self, call: Call) -> bool:
            held.go.set()
            while not call.is_over:
                time.sleep(0.001)
            return super().overrun(call)

    threads, held = Late(1, "one"), Held()
    assert await called(held, (), threads=threads, timeout=0.05) == "returned"
    assert threads.overran == 0


async def test_a_cancelled_call_that_waits_for_a_thread_is_never_made() -> None:
    """A shutdown gives its item back, so it must not run as well."""
    threads, first, second = Threads(1, "one"), Held(), Held()
    one = asyncio.create_task(called(first, (), threads=threads))
    two = asyncio.create_task(called(second, (), threads=threads))
    await until(first.began.is_set)
    two.cancel()
    await asyncio.wait({two})
    first.go.set()
    assert await one == "returned"
    assert await called(lambda: "third", (), threads=threads) == "third"
    assert not second.began.is_set()


async def test_an_error_that_comes_too_late_is_nobodys() -> None:
    """asyncio would report it as never retrieved, which the suite takes for a failure."""
    threads, held = Threads(1, "one"), Held()

    def fails() -> None:
        held()
        raise ValueError("too late")

    with pytest.raises(TimeoutError):
        await called(fails, (), threads=threads, timeout=0.02)
    held.go.set()
    await until(lambda: threads.overran == 0)


def test_a_return_to_a_loop_that_is_gone_ends_no_thread() -> None:
    """Nobody waits there, and the thread has other loops to serve."""
    threads, held = Threads(1, "one"), Held()

    async def begins() -> None:
        with pytest.raises(TimeoutError):
            await called(held, (), threads=threads, timeout=0.02)

    asyncio.run(begins())
    held.go.set()

    async def another() -> str:
        return str(await called(lambda: "another loop", (), threads=threads))

    assert asyncio.run(another()) == "another loop"


async def test_a_call_is_dropped_whose_caller_has_left() -> None:
    """Its answer comes to a future that is done."""
    threads, held = Threads(1, "one"), Held()
    call = threads.call(held, (), {})
    call.answer.cancel()
    held.go.set()
    assert await called(lambda: "next", (), threads=threads) == "next"


async def test_without_another_thread_a_call_waits_for_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may allow no more. Without any thread the call fails, and its hook is tried again."""
    threads, held = Threads(3, "few"), Held()
    one = asyncio.create_task(called(held, (), threads=threads))
    await until(held.began.is_set)

    def refuses(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuses)
        two = asyncio.create_task(called(lambda: "waited", (), threads=threads))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="can't start"):
            await called(lambda: None, (), threads=Threads(1, "none"))
    held.go.set()
    assert await asyncio.gather(one, two) == ["returned", "waited"]


async def test_a_forked_process_has_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent's threads are not in the child, and would never answer."""
    threads, held = Threads(1, "one"), Held()
    one = asyncio.create_task(called(held, (), threads=threads))
    await until(held.began.is_set)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        assert await called(lambda: "the child's", (), threads=threads) == "the child's"
    held.go.set()
    assert await one == "returned"
