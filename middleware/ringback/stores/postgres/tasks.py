"""Tasks that belong together: run until the first has ended, and end them all."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING, Any

from ringback.stores.postgres.database import read_error

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine

LOST_AFTER = 5.0
"""Seconds after which a cancellation of procrastinate's worker counts as lost: it takes a moment, or is never heard."""


async def first_of(*works: Coroutine[Any, Any, object]) -> None:
    """Run the coroutines side by side until the first has ended, and cancel the others. Raises what one raised."""
    tasks = [asyncio.create_task(work, context=Context()) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(tasks, again=LOST_AFTER)
    for task in tasks:
        if not task.cancelled():
            task.result()


async def end(tasks: Collection[asyncio.Task[Any]], *, again: float | None = None) -> None:
    """Cancel the tasks that still run, and wait until all have ended. After ``again`` seconds, cancel again."""
    for task in tasks:
        # At once, a second cancellation would make procrastinate's worker leave its jobs behind.
        if not task.done() and not task.cancelling():
            task.cancel()
    pending = set(tasks)
    while pending:
        _, pending = await asyncio.wait(pending, timeout=again)
        for task in pending:
            task.cancel()
    for task in tasks:
        read_error(task)
