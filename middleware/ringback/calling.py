"""Calling a user's function: in the loop or in a thread, for a limited time, with every way out as an exception."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from ringback.callables import is_async

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


async def called(
    function: Callable[..., Any],
    arguments: tuple[object, ...],
    named: Mapping[str, object] | None = None,
    *,
    timeout: float | None = None,
) -> Any:
    """What the function returns, awaited. A sync one runs in a worker thread, which a time-out cannot stop.

    Raises what the function raises, :class:`TimeoutError` after ``timeout`` seconds, and
    :class:`asyncio.CancelledError` only if the caller is cancelled. What would end the process ends it.
    """
    # A task of its own: a function that cancels its task does not cancel ours.
    running = asyncio.get_running_loop().create_task(_result(function, arguments, named or {}))
    try:
        # Its turn is before ours. Many functions need no other one, and so no timer.
        await asyncio.sleep(0)
        if running.done():
            return running.result()
        async with asyncio.timeout(timeout):
            return await running
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # Something that the function waited for was cancelled, not we.
        raise RuntimeError("the handler was cancelled from within") from None
    except (Exception, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        if not running.done():
            # Not the function's: we are thrown away, together with the loop.
            raise
        # Nobody above expects one, and what was called would count as running for ever.
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
        # No future can carry it out of the thread (python/cpython#112182): who awaits would wait for ever.
        raise RuntimeError("the handler raised StopIteration") from error
