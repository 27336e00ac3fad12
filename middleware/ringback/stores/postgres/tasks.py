"""Tasks that belong together: run until the first has ended, and end them all."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING, Any

from ringback.stores.postgres.database import read_error

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine


async def first_of(*works: Coroutine[Any, Any, object]) -> None:
    """Run the coroutines side by side until the first has ended, and cancel the others. Raises what one raised."""
    tasks = [asyncio.create_task(work, context=Context()) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


async def end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel the tasks that still run, and wait until all have ended."""
    for task in tasks:
        # A second cancellation would make procrastinate's worker leave its jobs behind.
        if not task.done() and not task.cancelling():
            task.cancel()
    if tasks:
        await asyncio.wait(tasks)
        for task in tasks:
            read_error(task)
