"""Sends one request over HTTP in a thread, because the standard library has no asynchronous client."""

from __future__ import annotations

import asyncio
import http.client
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ringback.exceptions import ConfigurationError
from ringback.privacy.redaction import redact

if TYPE_CHECKING:
    from pathlib import Path

Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[int]]
"""Posts a body with headers to an address and returns the status; raises :class:`OSError` without an answer."""

Ask = Callable[[str, str, bytes, Mapping[str, str]], Awaitable["Answered"]]
"""Sends a body with a method and headers to an address; raises :class:`OSError` without an answer."""

TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Answered:
    """What an endpoint answered; the names of the headers are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    body: bytes = field(default=b"", repr=False)


def http_ask(ca_file: str | Path | None = None, timeout: float = TIMEOUT) -> Ask:
    """A function that asks, over a new connection each time. It trusts ``ca_file`` and the machine's authorities.

    ``timeout`` is in seconds.
    """
    context = None

    def send(method: str, uri: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        nonlocal context
        parts = urlsplit(uri)
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            if context is None:
                context = ssl.create_default_context()
                if ca_file is not None:
                    context.load_verify_locations(ca_file)
            connection = http.client.HTTPSConnection(parts.netloc, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request(method, target, body, {**headers, "connection": "close"})
            response = connection.getresponse()
            given = {name.lower(): value for name, value in response.getheaders()}
            return Answered(response.status, given, response.read())
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP answer ({type(error).__name__})") from error
        finally:
            connection.close()

    async def ask(method: str, uri: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        return await asyncio.to_thread(send, method, uri, body, headers)

    return ask


def http_post(ca_file: str | Path | None = None, timeout: float = TIMEOUT) -> Post:
    """:func:`http_ask` for a POST whose status alone matters."""
    ask = http_ask(ca_file, timeout)

    async def post(uri: str, body: bytes, headers: Mapping[str, str]) -> int:
        return (await ask("POST", uri, body, headers)).status

    return post


def shown(uri: str) -> str:
    """An address without the query and the parts of the path that look like an id or a secret."""
    parts = urlsplit(uri)
    path = re.sub(r"(?<=/)[^/:]{16,}", "[...]", redact(parts.path))
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{path}{'?[...]' if parts.query else ''}"


def web_address(name: str, uri: str) -> str:
    """The address that the argument ``name`` has. Raises :class:`ConfigurationError` if it is no http(s) URL."""
    try:
        parts = urlsplit(uri)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        # A query may have a secret.
        given = redact(uri.partition("?")[0])
        raise ConfigurationError(
            f"{name} {given!r} is no http(s) URL with a host; write for example http://127.0.0.1:8000/api/callbacks"
        )
    return uri
