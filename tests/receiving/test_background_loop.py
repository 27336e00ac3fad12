"""A loop in a thread, for programs without one: it begins when it is needed and ends with the process."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import subprocess
import sys
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from ringback.receiving import background_loop
from ringback.receiving.background_loop import BackgroundLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

told: ContextVar[str] = ContextVar("told", default="nothing")


class Life:
    """Notes the beginnings and ends of a loop."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.fails: Exception | None = None
        self.loop = BackgroundLoop(self.begin, self.end)

    async def begin(self) -> None:
        self.steps.append("begin")
        if self.fails is not None:
            raise self.fails

    async def end(self) -> None:
        self.steps.append("end")

    async def another_end(self) -> None:
        self.steps.append("another end")


@pytest.fixture
def life() -> Iterator[Life]:
    life = Life()
    yield life
    life.loop.stop()


async def where() -> tuple[str, str]:
    return threading.current_thread().name, told.get()


async def failing() -> None:
    raise LookupError("its own")


def test_coroutines_run_in_one_thread_in_the_callers_context(life: Life) -> None:
    """What is bound to a request's context is bound in it."""
    token = told.set("something")
    try:
        assert life.loop.run(where()) == ("ringback", "something")
    finally:
        told.reset(token)
    assert life.loop.run(where()) == ("ringback", "nothing")
    assert life.steps == ["begin"]


def test_exceptions_reach_the_caller(life: Life) -> None:
    """And the loop goes on."""
    with pytest.raises(LookupError, match="its own"):
        life.loop.run(failing())
    assert life.loop.run(where())[0] == "ringback"


def test_a_beginning_that_fails_is_told_and_tried_again(life: Life) -> None:
    """No thread is left of it."""
    before = set(threading.enumerate())
    life.fails = LookupError("not yet")
    with pytest.raises(LookupError, match="not yet"):
        life.loop.run(where())
    assert set(threading.enumerate()) <= before
    life.fails = None
    assert life.loop.run(where())[0] == "ringback"
    assert life.steps == ["begin", "begin"]


def test_an_end_may_be_given_and_another_loop_begins_after_it(life: Life) -> None:
    """What is still pending is cancelled, as where a program ends."""
    pending: list[asyncio.Task[None]] = []

    async def leave_something() -> None:
        pending.append(asyncio.create_task(asyncio.sleep(600)))

    life.loop.run(leave_something())
    life.loop.stop(life.another_end)
    assert pending[0].cancelled()
    life.loop.stop()
    life.loop.run(where())
    assert life.steps == ["begin", "another end", "begin"]


def test_an_end_waits_for_the_coroutines_that_threads_wait_for(life: Life) -> None:
    """A request that came before the end has its answer."""
    begun, goes_on = threading.Event(), threading.Event()

    async def request() -> str:
        begun.set()
        await asyncio.to_thread(goes_on.wait)
        return f"answered before: {life.steps}"

    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(life.loop.run, request())
        begun.wait()
        ending = pool.submit(life.loop.stop)
        while life.loop._of_this_process()._loop is not None:
            threading.Event().wait(0.001)
        assert life.steps == ["begin"]
        goes_on.set()
        assert answer.result(10) == "answered before: ['begin']"
        ending.result(10)
    assert life.steps == ["begin", "end"]


def test_an_end_waits_for_no_coroutine_for_ever(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for it learns that it was cancelled."""
    monkeypatch.setattr(background_loop, "LEAVE", 0.01)
    begun = threading.Event()

    async def hangs() -> None:
        begun.set()
        await asyncio.sleep(600)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(life.loop.run, hangs())
        begun.wait()
        life.loop.stop()
        with pytest.raises(concurrent.futures.CancelledError):
            answer.result(10)


def test_an_end_waits_for_no_thread_that_a_hook_has_asked_for(life: Life) -> None:
    """A function that hangs would keep whoever drains for ever."""
    begun, let = threading.Event(), threading.Event()

    def hangs() -> None:
        begun.set()
        let.wait(30)

    async def hook() -> None:
        pending.append(asyncio.create_task(asyncio.to_thread(hangs)))

    pending: list[asyncio.Task[None]] = []
    life.loop.run(hook())
    begun.wait()
    life.loop.stop()
    assert (life.steps, pending[0].cancelled(), let.is_set()) == (["begin", "end"], True, False)
    let.set()


def test_nobody_ends_the_loop_while_a_coroutine_is_handed_to_it(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop would forget the coroutine, and its caller would wait for ever."""
    hand_in = asyncio.run_coroutine_threadsafe
    locked: list[bool] = []

    def noted(coroutine: Any, loop: asyncio.AbstractEventLoop) -> Any:
        locked.append(life.loop._of_this_process()._lock.locked())
        return hand_in(coroutine, loop)

    life.loop.run(where())
    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "run_coroutine_threadsafe", noted)
        life.loop.run(where())
    assert locked == [True]


PROGRAM = """
import asyncio, os, sys
from ringback.receiving.background_loop import BackgroundLoop

async def nothing(): ...

async def end():
    # As a sync hook is called: in a worker thread, which Python stops before it runs what atexit knows.
    print(await asyncio.to_thread(lambda: "ended"), os.getpid() == parent, flush=True)

parent = os.getpid()
loop = BackgroundLoop(nothing, end)
loop.run(nothing())
"""


def test_the_end_of_the_process_is_the_end_of_the_loop() -> None:
    """Worker threads still work then."""
    finished = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=True)
    assert (finished.stdout, finished.stderr) == ("ended True\n", "")


@pytest.mark.parametrize(("forked", "expected"), [(False, ["called"]), (True, [])])
def test_what_is_for_the_exit_of_a_process_is_for_that_process_alone(
    monkeypatch: pytest.MonkeyPatch, forked: bool, expected: list[str]
) -> None:
    """A process that it forks has copies of what waits in its memory, and none of the threads that work on it."""
    registered: list[Callable[[], object]] = []
    called: list[str] = []
    monkeypatch.setattr(background_loop, "_register", registered.append)
    background_loop.at_exit(lambda: called.append("called"))
    if forked:
        monkeypatch.setattr(os, "getpid", lambda: -1)
    registered[0]()
    assert called == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_gets_a_loop_of_its_own() -> None:
    """And ends that alone: its parent's it does not have."""
    forking = """
child = os.fork()
loop.run(nothing())
if child:
    os.waitpid(child, 0)
"""
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM + forking],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert (finished.stdout, finished.stderr) == ("ended False\nended True\n", "")
