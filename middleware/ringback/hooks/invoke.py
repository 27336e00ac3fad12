"""Calls a function of the app where its answer is awaited: hooks, predicates, contact functions, checks of senders.

Every failure of the function is an Exception for the caller, whatever the function raises. Where nobody can await an
answer, :func:`ringback.hooks.guarded.told` calls the function by the same rules.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from ringback.hooks.guarded import NONE, failure, finished, of_a_signal, refuse_awaitable, returned
from ringback.hooks.signatures import is_async
from ringback.hooks.threads import Call, Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_HOOK = "ringback hook "
_OTHERS = Threads(64, "ringback-call")
"""For functions that are no hooks, such as checks of senders: these wait for no hook that hangs."""


async def called(
    function: Callable[..., Any],
    arguments: tuple[object, ...],
    named: Mapping[str, object] = NONE,
    *,
    timeout: float | None = None,
    inline: bool = False,
    threads: Threads = _OTHERS,
    overran: Callable[[asyncio.Future[Any]], object] = lambda _: None,
    hook: str | None = None,
) -> Any:
    """What the function returns, awaited if it is awaitable.

    A sync function runs in one of ``threads``; its time begins when the function does, not while it waits for a thread.
    A time-out cannot stop the function: ``overran`` then gets what will come of it. With ``inline`` a sync function
    runs in the loop, which suits a quick decision alone. :func:`hook_of` finds ``hook`` in the name of the task.

    Raises what the function raises, :class:`RuntimeError` in place of what is no :class:`Exception` (``SystemExit``,
    ``KeyboardInterrupt``, a cancellation from within), :class:`TimeoutError` after ``timeout`` seconds, and
    :class:`asyncio.CancelledError` only if the caller is cancelled. A signal still ends the process.
    """
    answer: Any = None
    limit = timeout
    if not is_async(function):
        if inline:
            answer = returned(function, arguments, named)
        else:
            call = threads.call(function, arguments, named)
            answer = await _answered(call, threads, timeout, overran)
            timeout = None if timeout is None else max(0.0, call.left(timeout))
        if not inspect.isawaitable(answer):
            return answer
    # The function gets a task of its own: a function that cancels its task does not cancel the worker's task.
    name = None if hook is None else _HOOK + hook
    running = asyncio.get_running_loop().create_task(_result(function, arguments, named, answer), name=name)
    late = False
    try:
        # The new task runs first. Most functions return in this one turn of the loop, and so need no timer.
        await asyncio.sleep(0)
        if not running.done():
            await asyncio.wait({running}, timeout=timeout)
        if not running.done():
            late = True
            running.cancel()
            await asyncio.wait({running})
    except asyncio.CancelledError:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        raise
    finally:
        if inspect.iscoroutine(answer):
            # The task may have ended before its first step, and Python warns of a coroutine that nobody awaits.
            answer.close()
    try:
        # To await a task that has raised GeneratorExit would close this coroutine.
        return running.result()
    except asyncio.CancelledError:
        raise (_too_long(limit) if late else RuntimeError("the function was cancelled from within")) from None
    except Exception:
        raise
    except BaseException as error:
        # The worker handles an `Exception` alone; after any other one the hook would count as running for ever.
        raise failure(error) from error


def hook_of(task: str | None) -> str | None:
    """The hook that runs in the task of this name; ``None`` for a task of the app's own."""
    return task.removeprefix(_HOOK) if task is not None and task.startswith(_HOOK) else None


async def _answered(
    call: Call, threads: Threads, timeout: float | None, overran: Callable[[asyncio.Future[Any]], object]
) -> Any:
    """What the call returns, which may be awaitable. Raises :class:`TimeoutError` if its function takes too long."""
    left = timeout
    try:
        while not call.answer.done():
            await asyncio.wait({call.answer}, timeout=left)
            left = None if timeout is None else call.left(timeout)
            if left is not None and left <= 0 and not call.answer.done():
                if threads.overrun(call):
                    overran(call.answer)
                    raise _too_long(timeout)
                left = None
    except asyncio.CancelledError:
        threads.withdraw(call)
        raise
    return call.answer.result()


def _too_long(timeout: float | None) -> TimeoutError:
    """The text tells the time-out of the app's policy from one that the function raises itself."""
    return TimeoutError(f"the function did not return within {timeout:g} s")


async def decided(function: Callable[..., Any], *arguments: object, timeout: float | None = None) -> Any:
    """As :func:`called`, in the loop if sync. :class:`TypeError` for an answer that is awaitable: it counts as true."""
    return refuse_awaitable(await called(function, arguments, timeout=timeout, inline=True))


async def _result(
    function: Callable[..., Any], arguments: tuple[object, ...], named: Mapping[str, object], answer: Any
) -> Any:
    """What the async function comes to, or what the awaitable ``answer`` of a sync one does."""
    try:
        if answer is None:
            answer = function(*arguments, **named)
        answer = await answer
        while inspect.iscoroutine(answer):
            # A decorator may forget to await the function that it decorates.
            answer = await answer
    except (KeyboardInterrupt, SystemExit, StopAsyncIteration) as error:
        # asyncio would let the first two out of the loop, and so end the server.
        if of_a_signal(error):
            raise
        raise failure(error) from error
    return None if answer is None else finished(answer)
