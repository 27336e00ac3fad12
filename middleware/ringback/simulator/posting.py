"""The addresses of an app, and one request to one of them over HTTP.

The request runs in a thread, because the standard library has no asynchronous client.
"""

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
    from urllib.parse import SplitResult

Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[int]]
"""Posts a body with headers to an address and returns the status; raises :class:`OSError` without an answer."""

Ask = Callable[[str, str, bytes, Mapping[str, str]], Awaitable["Answered"]]
"""Sends a body with a method and headers to an address; raises :class:`OSError` without an answer."""

TIMEOUT = 30.0
"""Seconds that an endpoint has for its answer."""

HERE = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Answered:
    """What an endpoint answered; the names of the headers are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    body: bytes = field(default=b"", repr=False)


def trusting(ca_file: str | Path | None) -> ssl.SSLContext:
    """The settings of a client that trusts ``ca_file`` and the machine's authorities."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def connection_to(parts: SplitResult, timeout: float, context: ssl.SSLContext | None) -> http.client.HTTPConnection:
    """A new connection to the host of an address. ``context`` is for https."""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.netloc, timeout=timeout, context=context)
    return http.client.HTTPConnection(parts.netloc, timeout=timeout)


def http_ask(ca_file: str | Path | None = None) -> Ask:
    """A function that asks, over a new connection each time. It trusts ``ca_file`` and the machine's authorities."""
    context = None

    def send(method: str, uri: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        nonlocal context
        parts = urlsplit(uri)
        if parts.scheme == "https" and context is None:
            context = trusting(ca_file)
        connection = connection_to(parts, TIMEOUT, context)
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


def http_post(ca_file: str | Path | None = None) -> Post:
    """:func:`http_ask` for a POST whose status alone matters."""
    ask = http_ask(ca_file)

    async def post(uri: str, body: bytes, headers: Mapping[str, str]) -> int:
        return (await ask("POST", uri, body, headers)).status

    return post


def parts_of(uri: str) -> SplitResult | None:
    """The parts of a URL with a host; ``None`` for a text that is none."""
    try:
        parts = urlsplit(uri)
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def shown(uri: str) -> str:
    """An address without the query and the parts of the path that look like an id or a secret."""
    parts = urlsplit(uri)
    path = re.sub(r"(?<=/)[^/:]{16,}", "[...]", redact(parts.path))
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{path}{'?[...]' if parts.query else ''}"


def web_address(name: str, uri: str) -> str:
    """The address that the argument ``name`` has. Raises :class:`ConfigurationError` if it is no http(s) URL."""
    parts = parts_of(uri)
    if parts is None or parts.scheme not in ("http", "https"):
        # A query may have a secret.
        given = redact(uri.partition("?")[0])
        raise ConfigurationError(
            f"{name} {given!r} is no http(s) URL with a host; write for example http://127.0.0.1:8000/api/callbacks"
        )
    return uri


def address_fault(uri: object, scheme: str, allow_plain: bool | None) -> str | None:
    """Why the simulator does not call this address, or ``None``. ``scheme`` is http or ws, without TLS.

    ``allow_plain`` allows or forbids addresses without TLS; ``None`` allows those of this machine. The service calls
    none of them: "Call Automation doesn't support HTTP endpoints".
    """
    parts = parts_of(uri) if isinstance(uri, str) else None
    if parts is None or parts.scheme not in (scheme, f"{scheme}s"):
        return "is missing, or no absolute URL"
    allowed = parts.hostname in HERE if allow_plain is None else allow_plain
    return f"is not {scheme}s" if parts.scheme == scheme and not allowed else None


def without_tls(uri: str, allow_plain: bool | None) -> str | None:
    """The address without TLS of a wss address of this machine; ``None`` of others, and where that is forbidden."""
    plain = uri.replace("wss:", "ws:", 1)
    here = plain != uri and allow_plain is not False and address_fault(plain, "ws", None) is None
    return plain if here else None
