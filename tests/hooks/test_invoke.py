"""How a user's function is called: where it runs, what it sees, for how long, and every way out of it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import signal
import threading
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from ringback.hooks.invoke import called
from ringback.hooks.threads import Threads

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

request_of: ContextVar[str | None] = ContextVar("request_of", default=None)


async def in_loop(one: object, *, two: object) -> tuple[object, ...]:
    await asyncio.sleep(0)
    return one, two, threading.get_ident()


def in_thread(one: object, *, two: object) -> tuple[object, ...]:
    return one, two, threading.get_ident()


class AsyncObject:
    async def __call__(self, one: object, *, two: object) -> tuple[object, ...]:
        return one, two, threading.get_ident()

    async def method(self, one: object, *, two: object) -> tuple[object, ...]:
        return one, two, threading.get_ident()


class SyncObject:
    def __call__(self, one: object, *, two: object) -> tuple[object, ...]:
        return one, two, threading.get_ident()


@pytest.mark.parametrize(
    "function",
    [in_loop, AsyncObject(), AsyncObject().method, functools.partial(in_loop), functools.partial(AsyncObject())],
    ids=["function", "object", "method", "partial", "partial-object"],
)
async def test_an_async_callable_runs_in_the_loop(function: Callable[..., Any]) -> None:
    """Whatever is async in any guise is awaited where the loop runs, with its arguments."""
    assert await called(function, (1,), {"two": 2}) == (1, 2, threading.get_ident())


@pytest.mark.parametrize(
    "function",
    [in_thread, SyncObject(), SyncObject().__call__, functools.partial(in_thread)],
    ids=["function", "object", "method", "partial"],
)
async def test_a_sync_callable_runs_in_a_thread(function: Callable[..., Any]) -> None:
    """A function that blocks must not stop the loop."""
    one, two, ident = await called(function, (1,), {"two": 2})
    assert (one, two) == (1, 2)
    assert ident != threading.get_ident()


@pytest.mark.parametrize(
    "function", [in_loop, in_thread, SyncObject(), AsyncObject()], ids=lambda each: type(each).__name__
)
async def test_a_decision_runs_in_the_loop(function: Callable[..., Any]) -> None:
    """A thread would cost more than most decisions."""
    assert await called(function, (1,), {"two": 2}, inline=True) == (1, 2, threading.get_ident())


async def test_the_caller_chooses_the_threads() -> None:
    """The loop's own threads belong to the app."""
    assert await called(lambda: threading.current_thread().name, (), threads=Threads(1, "own")) == "own"


async def test_arguments_may_be_left_out() -> None:
    """Not every function takes any."""
    assert await called(lambda: "nothing", ()) == "nothing"


class Later:
    """An awaitable that is no coroutine."""

    def __await__(self) -> Generator[None, None, int]:
        yield
        return threading.get_ident()


async def identity() -> int:
    return threading.get_ident()


async def forgets() -> object:
    """What a decorator makes of an async function when it forgets to await it."""
    return identity()


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "thread"])
@pytest.mark.parametrize(
    "function",
    [lambda: Later(), lambda: identity(), forgets, lambda: forgets()],
    ids=["awaitable", "coroutine", "coroutine-of-a-coroutine", "sync-and-so-on"],
)
async def test_what_a_function_returns_is_awaited(function: Callable[..., Any], inline: bool) -> None:
    """A plain function around an async one, as many decorators make it, is called to its end, in the loop."""
    assert await called(function, (), inline=inline) == threading.get_ident()


def generator() -> Generator[int]:
    yield 1


async def generates() -> object:
    return generator()


async def async_generator() -> AsyncGenerator[int]:
    yield 1


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "thread"])
@pytest.mark.parametrize("function", [generator, generates, async_generator], ids=["sync", "async", "async-generator"])
async def test_a_generator_is_an_error(function: Callable[..., Any], inline: bool) -> None:
    """Nothing in it has run, though the call has returned."""
    with pytest.raises(TypeError, match="returned a generator, and nothing in it has run"):
        await called(function, (), inline=inline)


async def test_a_returned_awaitable_runs_in_the_loop() -> None:
    """Only making it was the thread's affair."""
    assert await called(Later, ()) == threading.get_ident()


class Odd(BaseException):
    """No Exception, as some libraries raise to get past ``except Exception``."""


ERROR = ValueError("no line")


def raises() -> None:
    raise ERROR


async def raises_async() -> None:
    raise ERROR


async def returns_raising() -> None:
    await asyncio.sleep(0)
    raise ERROR


@pytest.mark.parametrize(
    "function", [raises, raises_async, lambda: returns_raising()], ids=["sync", "async", "returned"]
)
async def test_an_exception_passes_unchanged(function: Callable[..., Any]) -> None:
    """Who asks what it is, such as a policy for Retry, must find the object that was raised."""
    with pytest.raises(ValueError, match="no line") as raised:
        await called(function, (), timeout=5)
    assert raised.value is ERROR


@pytest.mark.parametrize("error", [TimeoutError("the pager's"), OSError("no route")], ids=repr)
async def test_an_error_of_the_function_that_looks_like_ours_is_its_own(error: Exception) -> None:
    """A time-out inside of the function is not the time-out of the call."""

    async def fails() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        await called(fails, (), timeout=5)
    assert raised.value is error


def raising(error: BaseException) -> Callable[[], object]:
    def raises() -> None:
        raise error

    return raises


def raising_async(error: BaseException) -> Callable[[], object]:
    async def raises() -> None:
        raise error

    return raises


def raising_later(error: BaseException) -> Callable[[], object]:
    async def raises() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        raise error

    return lambda: raises()


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "thread"])
@pytest.mark.parametrize("how", [raising, raising_async, raising_later])
@pytest.mark.parametrize(
    "error",
    [StopIteration(7), StopAsyncIteration(), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), Odd("x")],
    ids=repr,
)
async def test_what_nobody_expects_comes_out_as_an_exception(
    error: BaseException, how: Callable[[BaseException], Callable[[], object]], inline: bool
) -> None:
    """No future carries a StopIteration, asyncio lets SystemExit end the loop, and no worker expects the rest."""
    with pytest.raises(RuntimeError) as raised:
        await called(how(error), (), timeout=5, inline=inline)
    assert str(raised.value) in (
        f"the function raised {type(error).__name__}",
        f"coroutine raised {type(error).__name__}",
    )
    assert type(raised.value.__cause__) is type(error)
    await asyncio.sleep(0)


async def test_an_async_function_that_takes_too_long_is_cancelled() -> None:
    """It is told so by its cancellation, and may tidy up before the TimeoutError comes out."""
    seen: list[str] = []

    async def stuck() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("tidied up")

    with pytest.raises(TimeoutError):
        await called(stuck, (), timeout=0.01)
    assert (seen, asyncio.all_tasks()) == (["tidied up"], {asyncio.current_task()})


async def test_a_sync_function_that_takes_too_long_is_no_longer_waited_for() -> None:
    """Its thread cannot be stopped, and goes on."""
    release, ended = threading.Event(), threading.Event()

    def stuck() -> None:
        release.wait(5)
        ended.set()

    with pytest.raises(TimeoutError):
        await called(stuck, (), timeout=0.01)
    assert not ended.is_set()
    release.set()
    assert await asyncio.to_thread(ended.wait, 5)


async def test_what_ends_in_time_is_not_disturbed_by_the_time_out() -> None:
    """Nothing is left of the time-out that could cancel the caller later."""
    assert await called(asyncio.sleep, (0, "in time"), timeout=0.05) == "in time"
    await asyncio.sleep(0.1)


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_a_cancellation_of_the_caller_comes_out_as_one(sync: bool) -> None:
    """On shutdown a hook is cancelled, and that is no error of it."""
    began, release = asyncio.Event(), threading.Event()
    loop, seen = asyncio.get_running_loop(), list[str]()

    async def stuck() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    def blocks() -> None:
        loop.call_soon_threadsafe(began.set)
        release.wait(5)

    task = asyncio.create_task(called(blocks if sync else stuck, (), timeout=5))
    await began.wait()
    task.cancel()
    await asyncio.wait({task})
    release.set()
    assert (task.cancelled(), seen) == (True, [] if sync else ["cancelled"])
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def cancels_its_task() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def raises_cancelled() -> None:
    raise asyncio.CancelledError


async def awaits_what_is_cancelled() -> None:
    other = asyncio.ensure_future(asyncio.Event().wait())
    other.cancel()
    await other


@pytest.mark.parametrize("error", [asyncio.CancelledError(), concurrent.futures.CancelledError()], ids=repr)
async def test_a_cancellation_in_a_thread_is_an_error_of_the_function(error: BaseException) -> None:
    """Nobody has cancelled the caller."""
    with pytest.raises(Exception, match=r"^(the function raised CancelledError)?$"):
        await called(raising(error), (), timeout=5)


@pytest.mark.parametrize(
    "function",
    [cancels_its_task, raises_cancelled, awaits_what_is_cancelled],
    ids=["own-task", "raised", "awaited"],
)
async def test_a_cancellation_from_within_is_an_error_of_the_function(function: Callable[..., Any]) -> None:
    """Taken for a shutdown, it would end the worker; the caller is not cancelled and goes on."""
    with pytest.raises(RuntimeError) as raised:
        await called(function, (), timeout=5)
    assert str(raised.value) == "the function was cancelled from within"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), concurrent.futures.CancelledError()], ids=repr)
async def test_a_decision_that_raises_a_cancellation_has_failed(error: BaseException) -> None:
    """Nobody has cancelled the caller."""
    with pytest.raises(Exception, match=r"^(the function raised CancelledError)?$"):
        await called(raising(error), (), inline=True)


@pytest.mark.parametrize("returns", [True, False], ids=["returns", "raises"])
async def test_a_caller_that_is_cancelled_at_once_leaves_nothing_behind(returns: bool) -> None:
    """The function may have begun, or even ended, before the caller began to wait."""
    seen: list[str] = []

    async def function() -> None:
        seen.append("began")
        task.cancel()
        if returns:
            return
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("ended")

    task = asyncio.create_task(called(function, (), timeout=5))
    await asyncio.wait({task})
    assert (task.cancelled(), seen) == (True, ["began"] if returns else ["began", "ended"])
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_context_variables_are_seen_and_stay_the_callers(sync: bool) -> None:
    """What was bound for a request is bound in the function; what that binds is for itself."""

    def reads() -> str | None:
        seen = request_of.get()
        request_of.set("changed")
        return seen

    async def reads_async() -> str | None:
        return reads()

    request_of.set("request 7")
    assert await called(reads if sync else reads_async, ()) == "request 7"
    assert request_of.get() == "request 7"


def test_a_call_that_is_thrown_away_with_its_loop_is_no_error_of_the_function() -> None:
    """Reported as one, a hook would count as failed that was only interrupted."""
    ended: list[BaseException] = []

    async def stuck() -> None:
        await asyncio.Event().wait()

    async def calls() -> None:
        try:
            await called(stuck, (), timeout=5)
        except BaseException as error:
            ended.append(error)
            raise

    async def begins() -> None:
        coroutine = calls()
        coroutine.send(None)
        coroutine.close()

    asyncio.run(begins())
    assert [type(error) for error in ended] == [GeneratorExit]


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_signal_ends_the_process_whatever_runs(how: str) -> None:
    """Ctrl-C is a person's, also where it comes while a function of the app runs."""

    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)

    async def interrupted_async() -> None:
        await asyncio.sleep(0)
        interrupted()

    loop, before = asyncio.new_event_loop(), signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            # asyncio.run would have a handler of its own, which cancels the main task.
            loop.run_until_complete(called(interrupted if how == "sync" else interrupted_async, (), inline=True))
    finally:
        signal.signal(signal.SIGINT, before)
        for task in asyncio.all_tasks(loop):
            task.cancel()
            with suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
        loop.close()
