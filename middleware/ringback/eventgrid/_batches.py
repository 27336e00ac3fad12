"""What waits for a request, how much goes into one, and telling who waits what became of it."""

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
"""Of one request. Event Grid takes 1 MB, and does not say which; a tracing policy may add some bytes to each event.

Source: https://learn.microsoft.com/en-us/azure/event-grid/quotas-limits
"""


@dataclass(slots=True)
class Waiting:
    """An event, its size in a request, and who waits for Event Grid to take it."""

    event: dict[str, Any]
    size: int
    taken: asyncio.Future[None]


def bytes_of(event: dict[str, Any]) -> int:
    # As the SDK writes it, all of it ASCII; and the comma and the space before the next.
    return len(json.dumps(event)) + 2


def next_batch(pending: deque[Waiting], most: int) -> list[Waiting]:
    """The first events of those whose callers still wait, as many as a request may hold; one at least, if any."""
    batch: list[Waiting] = []
    size = 0
    while pending and len(batch) < most:
        if pending[0].taken.done():
            # Its caller was cancelled, and will come again.
            pending.popleft()
            continue
        size += pending[0].size
        if batch and size > MAX_BYTES:
            break
        batch.append(pending.popleft())
    return batch


def settle(batch: Iterable[Waiting], failure: Failure | None) -> None:
    for each in batch:
        if each.taken.done():
            continue
        if failure is None:
            each.taken.set_result(None)
        else:
            each.taken.set_exception(failure.error)
