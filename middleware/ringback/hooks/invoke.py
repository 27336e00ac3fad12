"""Calls a function of the app: in the loop or in a thread, for a limited time, with every failure as an exception."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from ringback.hooks.signatures import is_async

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


async def called(
    function: Callable[..., Any],
    arguments: tuple[object, ...],
    named: Mapping[str, object] | None = None,
    *,
    timeout: float | None = None,
) -> Any:
    """What the function returns, awaited. A sync function runs in a worker thread, which a time-out cannot stop.

    Raises what the function raises, :class:`TimeoutError` after ``timeout`` seconds, and
    :class:`asyncio.CancelledError` only if the caller is cancelled. ``SystemExit`` and
    ``KeyboardInterrupt`` end the process.
    """
    # The function gets a task of its own: a function that cancels its task does not cancel the worker's task.
    running = asyncio.get_running_loop().create_task(_result(function, arguments, named or {}))
    try:
        # The new task runs first. Most functions return in this one turn of the loop, and so need no timer.
        await asyncio.sleep(0)
        if running.done():
            return running.result()
        async with asyncio.timeout(timeout):
            return await running
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # The caller was not cancelled: something that the function awaits was.
        raise RuntimeError("the handler was cancelled from within") from None
    except (Exception, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        if not running.done():
            # The function has not raised this: Python closes this coroutine, together with the loop.
            raise
        # The worker handles an `Exception` alone; after any other one the hook would count as running for ever.
        raise RuntimeError(f"the handler raised {type(error).__name__}") from error


async def _result(function: Callable[..., Any], arguments: tuple[object, ...], named: Mapping[str, object]) -> Any:
    if is_async(function):
        return await function(*arguments, **named)
    returned = await asyncio.to_thread(_returned, function, arguments, named)
    return await returned if inspect.isawaitable(returned) else returned


def _returned(function: Callable[..., Any], arguments: tuple[object, ...], named: Mapping[str, object]) -> Any:
    try:
        return function(*arguments, **named)
    except StopIteration as error:
        # No future carries StopIteration out of the thread (python/cpython#112182): the caller would wait for ever.
        raise RuntimeError("the handler raised StopIteration") from error
