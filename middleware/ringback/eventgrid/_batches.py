"""The events that wait for a request, the events of one request, and the result for their callers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections import deque
    from collections.abc import Iterable

    from ringback.eventgrid._answers import Failure

MAX_BYTES = 1_000_000
"""Bytes of one request. Event Grid accepts 1 MB and does not say whether that is 10^6; a tracing policy adds bytes.

Source: https://learn.microsoft.com/en-us/azure/event-grid/quotas-limits
"""


@dataclass(slots=True)
class Waiting:
    """An event, its size in bytes, and the future of the caller, which is done when Event Grid has the event."""

    event: dict[str, Any]
    size: int
    taken: asyncio.Future[None]


def bytes_of(event: dict[str, Any]) -> int:
    # The SDK writes the same ASCII text; 2 is for the comma and the space before the next event.
    return len(json.dumps(event)) + 2


def next_batch(pending: deque[Waiting], most: int) -> list[Waiting]:
    """Take the first events whose callers still wait: ``most`` and :data:`MAX_BYTES` at most, but at least one."""
    batch: list[Waiting] = []
    size = 0
    while pending and len(batch) < most:
        if pending[0].taken.done():
            # The event's caller was cancelled; the store retries the event.
            pending.popleft()
            continue
        size += pending[0].size
        if batch and size > MAX_BYTES:
            break
        batch.append(pending.popleft())
    return batch


def settle(batch: Iterable[Waiting], failure: Failure | None) -> None:
    for waiting in batch:
        if waiting.taken.done():
            continue
        if failure is None:
            waiting.taken.set_result(None)
        else:
            waiting.taken.set_exception(failure.error)
