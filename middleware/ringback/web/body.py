"""The body of an ASGI request: Ringback reads the body within limits, and the route reads the same bytes again."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from starlette.responses import Response

from ringback.receiving.replies import Reply, too_large, too_slow

if TYPE_CHECKING:
    from starlette.types import Message, Receive


class BodyReader:
    """Reads the bodies of a door's requests, each in at most ``seconds``; 0 is any time.

    One timer of the event loop watches over all bodies that are being read, the oldest first: all have the same time.
    On a server that hands every body over from another thread, as granian does, a timer for each body
    (:func:`asyncio.timeout`) takes a fifth of the instructions of a bare route.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._watch: _Watch | None = None

    async def read(self, receive: Receive, limit: int) -> bytes | Reply | None:
        """The whole body; ``None`` if the sender leaves, a reply above ``limit`` bytes or when the time is up."""
        loop, watch = asyncio.get_running_loop(), self._watch
        if watch is None or watch.loop is not loop:
            # An app may run in several event loops, as in tests. A body that is being read keeps the watch of its loop.
            watch = self._watch = _Watch(loop)
        task: Any = asyncio.current_task()
        reading, cancelling = _Reading(task, loop.time() + (self._seconds or math.inf)), task.cancelling()
        watch.readings[reading] = None
        if watch.timer is None and self._seconds:
            watch.wait_for(reading)
        chunks: list[bytes] = []
        size = 0
        try:
            while (message := await receive())["type"] != "http.disconnect":
                chunk: bytes = message.get("body", b"")
                size += len(chunk)
                if size > limit:
                    return too_large(limit)
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return b"".join(chunks)
            return None
        except TimeoutError:
            return too_slow(self._seconds)
        except asyncio.CancelledError:
            # As in asyncio.timeout: a cancellation by somebody else goes on.
            if reading.expired and task.cancelling() <= cancelling + 1:
                return too_slow(self._seconds)
            raise
        finally:
            watch.readings.pop(reading, None)
            if reading.expired:
                task.uncancel()


class _Reading(Struct, eq=False):
    """A task that reads a body, and has to end by ``end``, a time of the event loop's clock."""

    task: asyncio.Task[Any]
    end: float
    expired: bool = False


class _Watch:
    """The bodies that are being read in one event loop, the oldest first."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.readings: dict[_Reading, None] = {}
        self.timer: asyncio.TimerHandle | None = None

    def wait_for(self, reading: _Reading) -> None:
        self.timer = self.loop.call_at(reading.end, self._expire)

    def _expire(self) -> None:
        """Cancel the readings whose time is up, and wait for the next. Most timers find that their body came."""
        self.timer = None
        now = self.loop.time()
        while (oldest := next(iter(self.readings), None)) is not None:
            if oldest.end > now:
                self.wait_for(oldest)
                return
            del self.readings[oldest]
            oldest.expired = True
            oldest.task.cancel()


class PeekedReceive(Struct):
    """A ``receive`` of ASGI whose first message Ringback may read before the route asks for the message."""

    _receive: Receive
    _timeout: float
    _first: Message | None = None

    async def has_body(self) -> bool:
        """Whether the first message has a body. A sender that sends nothing until the time-out counts as one with."""
        try:
            async with asyncio.timeout(self._timeout or None):
                self._first = await self._receive()
        except TimeoutError:
            return True
        return bool(self._first.get("body") or self._first.get("more_body"))

    @property
    def channel(self) -> Receive:
        """The ``receive`` for the route: the server's own, unless :meth:`has_body` has read a message."""
        return self._receive if self._first is None else self

    async def __call__(self) -> Message:
        first, self._first = self._first, None
        return await self._receive() if first is None else first


def replayed(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the route the body again, and then the server's next messages."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


def response(reply: Reply) -> Response:
    """A reply as a response of Starlette."""
    return Response(reply.body, reply.status, dict(reply.headers))
