"""Requests, replies and the one error of the REST interface."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs

from ringback.exceptions import RingbackError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    from ringback.simulator.scenarios import Answer


if TYPE_CHECKING:
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]


async def read(scope: Message, receive: Receive, most: int) -> tuple[str, bytes] | None:
    """The raw path and query of an ASGI request, and its body, at least until it is longer than ``most`` bytes.

    ``None`` if the sender has left.
    """
    body, more = bytearray(), True
    while more and len(body) <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    query = scope["query_string"].decode("latin-1")
    return scope["raw_path"].decode("latin-1") + (f"?{query}" if query else ""), bytes(body)


@dataclass(frozen=True, slots=True)
class Request:
    """One request: ``target`` is the raw path and query; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def version(self) -> str | None:
        """The ``api-version`` of the query."""
        return parse_qs(self.target.partition("?")[2]).get("api-version", [None])[0]

    def header(self, name: str) -> str:
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request: ``content`` is the JSON body, or the bytes of a WAV file; ``None`` is an empty body."""

    status: int
    content: Any = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> bytes:
        if isinstance(self.content, bytes):
            return self.content
        return b"" if self.content is None else json.dumps(self.content).encode()

    @property
    def media_type(self) -> str:
        return "audio/wav" if isinstance(self.content, bytes) else "application/json"


class Refused(RingbackError):
    """The service refuses a request with this status and code; ``retry_after`` is in seconds."""

    def __init__(self, status: int, code: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after

    @property
    def reply(self) -> Reply:
        headers = () if self.retry_after is None else (("retry-after", str(self.retry_after)),)
        return Reply(self.status, {"error": {"code": self.code, "message": str(self)}}, headers)


def object_of(given: object) -> dict[str, Any]:
    """What is given as an object of JSON; an empty one in place of anything else."""
    return cast("dict[str, Any]", given) if isinstance(given, dict) else {}


def list_of(given: object) -> list[object]:
    """What is given as a list of JSON; an empty one in place of anything else."""
    return cast("list[object]", given) if isinstance(given, list) else []


def stamp(seconds: float, timespec: str = "milliseconds") -> str:
    """A time in seconds since 1970, as the service writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def scripted(answer: Answer) -> Refused:
    """The error of a scenario; the service's code and message replace missing ones."""
    code, message = _WORDS.get(answer.status, ("InternalServerError", "The service met an error."))
    return Refused(answer.status, answer.code or code, answer.message or message, retry_after=answer.retry_after)


_WORDS = {
    400: ("8523", "Invalid argument."),
    401: ("Unauthorized", "The request is not authorized."),
    403: ("Forbidden", "The request is not allowed."),
    404: ("8522", "Call not found."),
    409: ("Conflict", "Another operation is in progress."),
    412: ("PreconditionFailed", "A condition of the request is not met."),
    429: ("TooManyRequests", "The rate limit is exceeded."),
    503: ("ServiceUnavailable", "The service is unavailable."),
}
