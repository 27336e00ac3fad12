"""Outcomes as CloudEvents 1.0 on an Azure Event Grid topic.

The SDK is imported when the first event is sent, in a worker thread, not with this package.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from ringback.eventgrid._answers import LONGEST_WAIT, Failure, judged
from ringback.eventgrid._batches import MAX_BYTES, Waiting, bytes_of, next_batch, settle
from ringback.eventgrid._events import CALLS, PublishedType, chosen, cloud_event, published_type
from ringback.eventgrid._topic import Topic, checked_credential, checked_endpoint
from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from ringback.eventgrid._topic import Credential
    from ringback.hooks import HookContext
    from ringback.outcome import Outcome

__all__ = [
    "CALLS",
    "LONGEST_WAIT",
    "MAX_BYTES",
    "EventGridSink",
    "PublishedType",
    "cloud_event",
    "published_type",
]


# Defined here: a store keeps the name of the class, with its module, beside what waits for a sink.
class EventGridSink:
    """A hook that publishes outcomes to a topic, or a domain, of Azure Event Grid.

    ``endpoint`` is the topic's whole URL. ``types`` are the :class:`PublishedType` names to
    publish, by default the two of calls; ``source`` is the CloudEvents' source. Calls that come
    within ``linger`` seconds, or while a request is under way, go out together: at most
    ``max_batch`` events and :data:`MAX_BYTES` in a request, one request at a time.

    The sink keeps nothing: a call returns when Event Grid has taken the event, and raises if it
    has not, so that the store behind the hooks tries again. :class:`~ringback.hooks.Retry` for 429
    and 503, after Retry-After if that was sent; :class:`~ringback.hooks.GiveUp` for 400, 401, 403,
    404 and 413; the SDK's own exception for anything else. A request refused with 400 or 413 is
    sent again event by event. Raises :class:`ConfigurationError` for settings that cannot work.
    """

    def __init__(
        self,
        endpoint: str,
        credential: Credential,
        *,
        types: Iterable[str] = CALLS,
        source: str = "/ringback",
        max_batch: int = 100,
        linger: float = 0.05,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not source or any(each.isspace() for each in source):
            raise ConfigurationError(f"event grid: source {source!r} is no URI; write one such as '/ringback'")
        if max_batch < 1:
            raise ConfigurationError(f"event grid: max_batch {max_batch!r} lets no event out; give 1 or more")
        if not 0 <= linger < math.inf:
            raise ConfigurationError(f"event grid: linger {linger!r} is no waiting time; give seconds, 0 or more")
        self._types = chosen(types)
        self._source = source
        self._topic = Topic(checked_endpoint(endpoint), checked_credential(endpoint, credential))
        self._max_batch = max_batch
        self._linger = linger
        self._sleep = sleep
        self._clock = clock
        self._group: _Group | None = None

    def wants(self, outcome: Outcome) -> bool:
        """Whether outcomes of this type are published."""
        return published_type(outcome) in self._types

    async def __call__(self, outcome: Outcome, ctx: HookContext) -> None:  # noqa: ARG002 (a hook's signature)
        """Publish the outcome; one that is not wanted is passed over."""
        if not self.wants(outcome):
            return
        event = cloud_event(outcome, self._source)
        loop = asyncio.get_running_loop()
        waiting = Waiting(event, bytes_of(event), loop.create_future())
        group = self._group
        # A group whose loop was closed in its midst will never send.
        if group is None or group.task.get_loop() is not loop:
            pending: deque[Waiting] = deque()
            self._group = group = _Group(pending, loop.create_task(self._send_all(pending)))
        group.pending.append(waiting)
        await waiting.taken

    def close(self) -> None:
        """Close the connections. A later call opens them again."""
        self._topic.close()

    async def _send_all(self, pending: deque[Waiting]) -> None:
        batch: list[Waiting] = []
        try:
            await self._sleep(self._linger)
            while pending:
                batch = next_batch(pending, self._max_batch)
                if batch:
                    await self._deliver(batch)
        finally:
            # Another loop may have begun a group of its own meanwhile.
            if self._group is not None and self._group.pending is pending:
                self._group = None
            # Left over only if this task was cancelled, with its loop: nobody may wait for ever.
            for each in (*batch, *pending):
                each.taken.cancel()

    async def _deliver(self, batch: Sequence[Waiting]) -> None:
        failure = await asyncio.to_thread(self._send, batch)
        if failure is None or len(batch) == 1 or not failure.of_an_event:
            settle(batch, failure)
            return
        # One bad event must not hold back the others. A topic that no longer answers holds up all that follow.
        for index, each in enumerate(batch):
            failure = await asyncio.to_thread(self._send, [each])
            if failure is not None and not failure.of_an_event:
                settle(batch[index:], failure)
                return
            settle([each], failure)

    def _send(self, batch: Sequence[Waiting]) -> Failure | None:
        """One request. Blocks, for up to the client's time-outs: for worker threads."""
        try:
            self._topic.send([each.event for each in batch])
        except Exception as error:
            return judged(error, self._topic.endpoint, self._clock)
        return None


class _Group(NamedTuple):
    """What waits in one loop, and the task that sends it."""

    pending: deque[Waiting]
    task: asyncio.Task[None]
