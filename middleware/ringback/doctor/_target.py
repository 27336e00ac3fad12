"""A callback URL in its parts, and as it may be printed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from ringback.exceptions import ConfigurationError
from ringback.redaction import redact


@dataclass(frozen=True, slots=True)
class Target:
    """A callback URL in its parts. ``path`` is never empty; ``query`` has no question mark."""

    scheme: str
    host: str
    port: int
    path: str
    query: str

    @property
    def local(self) -> bool:
        """Whether that is this machine."""
        return self.host == "localhost" or _is_loopback(self.host)

    @property
    def authority(self) -> str:
        """Host and port as a URL has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def asked(self, *, bare: bool) -> str:
        """What the request line says; ``bare`` leaves the query out."""
        return self.path if bare or not self.query else f"{self.path}?{self.query}"

    def __str__(self) -> str:
        """The URL as it may be printed: no query, and nothing in the path that looks like an id or a secret."""
        path = re.sub(r"(?<=/)[^/]{16,}", "[...]", redact(self.path))
        return f"{self.scheme}://{self.authority}{path}{'?[...]' if self.query else ''}"


_PORTS = {"http": 80, "https": 443}


def target(url: str) -> Target:
    """The parts of a callback URL. Raises :class:`ConfigurationError`, which does not repeat it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigurationError(f"url: {_NO_URL}") from None
    if re.fullmatch("[!-~]+", url) is None or parts.scheme not in _PORTS or not host or port == 0:
        raise ConfigurationError(f"url: {_NO_URL}")
    if "@" in parts.netloc:
        raise ConfigurationError("url: it has a user or a password in it, which nobody would send; leave them out")
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], parts.path or "/", parts.query)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


_NO_URL = "that is no web address in plain ASCII; write for example https://app.example.com/api/callbacks/1"
