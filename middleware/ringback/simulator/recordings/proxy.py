"""A proxy in front of a real app: it forwards each request, gives the app's answer back, and keeps deliveries.

Bodies pass byte for byte. The proxy reads a body whole before it forwards the body.
"""

from __future__ import annotations

import asyncio
import http.client
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ringback.exceptions import ConfigurationError
from ringback.simulator.posting import connection_to, parts_of, trusting
from ringback.simulator.wire import read

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ringback.simulator.recordings.recorder import Recorder
    from ringback.simulator.wire import Message, Receive, Send

    Headers = list[tuple[bytes, bytes]]

MAX_BODY = 16 * 1024 * 1024
TIMEOUT = 120.0
"""Seconds that the app has for its answer."""

_OF_ONE_CONNECTION = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade".split()
)
"""The headers of one connection, which a proxy does not forward: RFC 9110, section 7.6.1."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request: ``target`` is the raw path and query; header names are in lower case."""

    method: str
    target: str
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """The app's answer, or the proxy's own for an app that gives none: then ``error`` says why."""

    status: int
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    error: str | None = None


def origin(given: str) -> str:
    """The origin of an app. Raises :class:`ConfigurationError` for what is none: each request keeps its own path."""
    parts = parts_of(given)
    if parts is None or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise ConfigurationError("--to is no origin of an app; write for example --to http://127.0.0.1:8000")
    alone = f"{parts.scheme}://{parts.netloc}"
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigurationError(f"--to has a path, and each request keeps its own; write --to {alone}")
    return alone


class Proxy:
    """The ASGI application. ``forward`` sends a request on; the recorder keeps what is a delivery."""

    def __init__(self, forward: Callable[[Request], Awaitable[Answer]], recorder: Recorder) -> None:
        self._forward = forward
        self._recorder = recorder

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if (found := await read(scope, receive, MAX_BODY)) is None:
            return
        request = Request(scope["method"], found[0], _forwarded(scope["headers"]), found[1])
        if len(request.body) > MAX_BODY:
            answer = _own(413, f"the body has more than {MAX_BODY} bytes")
        else:
            at = self._recorder.now()
            answer = await self._forward(request)
            self._recorder.keep(at, request, answer)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})


def forwarding(to: str) -> Callable[[Request], Awaitable[Answer]]:
    """A function that sends a request to the origin ``to``, over a connection of its own, and gives the answer."""
    parts = urlsplit(to)
    context = trusting(None) if parts.scheme == "https" else None

    def send(request: Request) -> Answer:
        connection = connection_to(parts, TIMEOUT, context)
        try:
            connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers:
                connection.putheader(name.decode("latin-1"), value)
            if request.body and not any(name == b"content-length" for name, _ in request.headers):
                # The body came in chunks.
                connection.putheader("content-length", str(len(request.body)))
            connection.putheader("connection", "close")
            connection.endheaders(request.body)
            response = connection.getresponse()
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.getheaders()]
            return Answer(response.status, _forwarded(headers), response.read())
        except OSError as error:
            return _own(502, f"the app does not answer ({error.strerror or type(error).__name__})")
        except http.client.HTTPException as error:
            return _own(502, f"the app's answer is no HTTP ({type(error).__name__})")
        finally:
            connection.close()

    async def forward(request: Request) -> Answer:
        return await asyncio.to_thread(send, request)

    return forward


def _forwarded(headers: Headers) -> Headers:
    """The headers that a proxy forwards, with their names in lower case."""
    named = {
        option.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for option in value.split(b",")
    }
    kept = [(name.lower(), value) for name, value in headers]
    # The proxy has read the body, so nobody waits to be asked for it.
    return [(name, value) for name, value in kept if name not in _OF_ONE_CONNECTION | named | {b"expect"}]


def _own(status: int, error: str) -> Answer:
    text = f"ringback record: {error}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]
    return Answer(status, headers, text, error)
