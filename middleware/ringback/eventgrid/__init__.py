"""How do outcomes reach Event Grid? As CloudEvents 1.0 on a topic.

The SDK is imported when the first event is sent, in a worker thread, not with this package.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ringback.eventgrid._events import CALLS, CRITERIA, PublishedType, chosen, cloud_event, published_type
from ringback.eventgrid._topic import LONGEST_WAIT, Topic, checked_credential, checked_endpoint
from ringback.exceptions import ConfigurationError
from ringback.hooks.invoke import called
from ringback.hooks.threads import Threads
from ringback.settings import refuse_negative, refuse_no_text, refuse_nothing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from ringback.core.outcome import Outcome
    from ringback.eventgrid._topic import Credential, Failure
    from ringback.work.policy import HookContext

__all__ = ["CALLS", "LONGEST_WAIT", "MAX_BYTES", "EventGridSink", "PublishedType", "cloud_event", "published_type"]

MAX_BYTES = 1_000_000
"""Bytes of one request. Event Grid accepts 1 MB and does not say whether that is 10^6; a tracing policy adds bytes.

Source: https://learn.microsoft.com/en-us/azure/event-grid/quotas-limits
"""

_THREADS = Threads(16, "ringback-eventgrid")


# This module defines the class: a store keeps the class's module and name beside the work that waits for a sink.
class EventGridSink:
    """A hook that publishes outcomes to a topic, or a domain, of Azure Event Grid.

    ``endpoint`` is the topic's whole URL. ``types`` are the :class:`PublishedType` names to publish, by default
    :data:`CALLS`. ``source`` is the ``source`` of the CloudEvents. The sink sends one request at a time. A request
    holds the events of ``linger`` seconds, or those that came during the request before: at most ``max_batch``
    events and :data:`MAX_BYTES`. The constructor raises :class:`ConfigurationError` for settings that cannot work.

    The sink stores nothing. A call of the sink returns when Event Grid has accepted the event; otherwise the call
    raises, and the store behind the hooks retries: :class:`~ringback.work.policy.Retry` for 429 and 503, with the
    seconds of Retry-After; :class:`~ringback.work.policy.GiveUp` for 400, 401, 403, 404 and 413; the SDK's own
    exception for anything else. When Event Grid answers 400 or 413, the sink sends that request's events one by one.
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
        refuse_no_text("event grid: source", source)
        if not source or any(letter.isspace() for letter in source):
            raise ConfigurationError(f"event grid: source {source!r} is no URI; write one such as '/ringback'")
        refuse_nothing("event grid: max_batch", max_batch)
        refuse_negative("event grid: linger", linger)
        self._types = chosen(types)
        self.criteria = [CRITERIA[name] for name in sorted(self._types)]
        """The outcomes that the sink publishes: a store keeps no other operation for the sink."""
        self._source = source
        self._topic = Topic(checked_endpoint(endpoint), checked_credential(endpoint, credential), clock)
        self._max_batch = max_batch
        self._linger = linger
        self._sleep = sleep
        self._group: _Group | None = None

    def wants(self, outcome: Outcome) -> bool:
        """Whether the sink publishes outcomes of this type."""
        return published_type(outcome) in self._types

    async def __call__(self, outcome: Outcome, ctx: HookContext) -> None:  # noqa: ARG002 (a hook's signature)
        """Publish the outcome if :meth:`wants` says so."""
        if not self.wants(outcome):
            return
        event = cloud_event(outcome, self._source)
        loop = asyncio.get_running_loop()
        # The SDK writes the same ASCII text; 2 is for the comma and the space before the next event.
        waiting = Waiting(event, len(json.dumps(event)) + 2, loop.create_future())
        group = self._group
        # The task of a closed loop never sends.
        if group is None or group.task.get_loop() is not loop:
            pending: deque[Waiting] = deque()
            self._group = group = _Group(pending, loop.create_task(self._send_all(pending)))
        group.pending.append(waiting)
        await waiting.taken

    def close(self) -> None:
        """Close the SDK's client. A later call of the sink opens a new one."""
        self._topic.close()

    async def _send_all(self, pending: deque[Waiting]) -> None:
        batch: list[Waiting] = []
        try:
            await self._sleep(self._linger)
            while pending:
                batch = _next_batch(pending, self._max_batch)
                if batch:
                    await self._deliver(batch)
        finally:
            # Another loop may have begun another group meanwhile.
            if self._group is not None and self._group.pending is pending:
                self._group = None
            # Callers are left only if the loop cancelled this task; no caller may wait for ever.
            for waiting in (*batch, *pending):
                waiting.taken.cancel()

    async def _deliver(self, batch: Sequence[Waiting]) -> None:
        failure = await called(self._send, (batch,), threads=_THREADS)
        if failure is None or len(batch) == 1 or not failure.of_an_event:
            _settle(batch, failure)
            return
        # One bad event must not stop the others. A failure of the topic itself is a failure of all events that follow.
        for index, waiting in enumerate(batch):
            if waiting.taken.done():
                # The event's caller was cancelled meanwhile, by the hook's time-out; the store retries the event.
                continue
            failure = await called(self._send, ([waiting],), threads=_THREADS)
            if failure is not None and not failure.of_an_event:
                _settle(batch[index:], failure)
                return
            _settle([waiting], failure)

    def _send(self, batch: Sequence[Waiting]) -> Failure | None:
        """Send one request. It blocks for up to the client's time-outs, so a worker thread calls it."""
        return self._topic.send([waiting.event for waiting in batch])


class _Group(NamedTuple):
    """The events that wait in one loop, and the task that sends them."""

    pending: deque[Waiting]
    task: asyncio.Task[None]


@dataclass(slots=True)
class Waiting:
    """An event, its size in bytes, and the future of the caller, which is done when Event Grid has the event."""

    event: dict[str, Any]
    size: int
    taken: asyncio.Future[None]


def _next_batch(pending: deque[Waiting], most: int) -> list[Waiting]:
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


def _settle(batch: Iterable[Waiting], failure: Failure | None) -> None:
    for waiting in batch:
        if waiting.taken.done():
            continue
        if failure is None:
            waiting.taken.set_result(None)
        else:
            waiting.taken.set_exception(failure.error)
