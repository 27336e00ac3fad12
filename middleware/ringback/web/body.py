"""The body of an ASGI request: Ringback reads the body within limits, and the route reads the same bytes again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct
from starlette.responses import Response

from ringback.receiving.replies import Reply, too_large, too_slow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator, Iterable, Iterator

    from starlette.types import Message, Receive


async def read_body(receive: Receive, limit: int, timeout: float) -> bytes | Reply | None:
    """The whole body; ``None`` if the sender disconnects before the end.

    Gives a reply as soon as the body has more than ``limit`` bytes, or after ``timeout`` seconds; 0 is any time.
    """
    try:
        first = _until_first_pause(receive())
        if not isinstance(first, _Paused) and first["type"] == "http.request" and not first.get("more_body"):
            # The server mostly has the whole body already, so nothing waits and no time-out is needed. A time-out costs
            # an eighth of a request without a log.
            body: bytes = first.get("body", b"")
            return body if len(body) <= limit else too_large(limit)
        async with asyncio.timeout(timeout or None):
            return await _read(await first if isinstance(first, _Paused) else first, receive, limit)
    except TimeoutError:
        return too_slow(timeout)


async def _read(message: Message, receive: Receive, limit: int) -> bytes | Reply | None:
    """The whole body, of which ``message`` is the first part."""
    chunks: list[bytes] = []
    size = 0
    while message["type"] != "http.disconnect":
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            return too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()
    return None


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


def _until_first_pause(awaitable: Awaitable[Message]) -> Message | _Paused:
    """The message, if awaiting needs no pause; otherwise the rest of what is awaited."""
    # A coroutine that types.coroutine makes of a generator has no __await__.
    try:
        steps: Iterator[Any] = awaitable.__await__()
    except AttributeError:
        steps = iter(cast("Iterable[Any]", awaitable))
    try:
        return _Paused(next(steps), steps)
    except StopIteration as arrived:
        message: Message = arrived.value
        return message


class _Paused:
    """An awaitable after its first pause. Whoever awaits this gets the first pause again, and then the other steps.

    The other steps are the awaitable's own, so that a cancellation reaches the awaitable as usual.
    """

    __slots__ = ("_pause", "_steps")

    def __init__(self, pause: Any, steps: Iterator[Any]) -> None:
        self._pause = [pause]
        self._steps = steps

    def __await__(self) -> Generator[Any, Any, Message]:
        return cast("Generator[Any, Any, Message]", self)

    def __next__(self) -> Any:
        return self._pause.pop() if self._pause else next(self._steps)

    def __getattr__(self, name: str) -> Any:
        # `send`, `throw` and `close` are the awaitable's own; not every awaitable has them.
        return getattr(self._steps, name)
