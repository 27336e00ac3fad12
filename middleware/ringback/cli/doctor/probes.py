"""The callback URL in its parts, the requests to it, and what a request may bring: an answer, or a failure."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ringback.exceptions import ConfigurationError
from ringback.privacy.redaction import redact
from ringback.receiving.intake import VALIDATION_EVENT
from ringback.receiving.target import SPELLINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGE = 2 * 1024 * 1024
"""Bytes of the body that is too large: twice Ringback's default of ``max_body``."""

EVENT_TYPE = "Microsoft.Communication.RingbackDoctor"
"""The type of the test events. Microsoft has no such type and the events have no result: no hook gets an outcome."""

CALL = "d0c70d0c-0000-4000-8000-000000000001"
"""The id of the test events' call, which does not exist."""

CODE = "d0c70d0c-0000-4000-8000-000000000002"
ORIGIN = "eventgrid.azure.net"

_PORTS = {"http": 80, "https": 443}
_NO_URL = "url: that is no web address in plain ASCII; write for example https://app.example.com/api/callbacks/1"


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
        """Whether the host is this machine."""
        return self.host == "localhost" or _is_loopback(self.host)

    @property
    def authority(self) -> str:
        """The host, and the port unless the scheme implies it, as a URL has the two."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def asked(self, *, bare: bool) -> str:
        """The target in the request line; ``bare`` leaves the query out."""
        return self.path if bare or not self.query else f"{self.path}?{self.query}"

    def __str__(self) -> str:
        """The URL for a person: without the query, and without parts of the path that look like an id or a secret."""
        path = re.sub(r"(?<=/)[^/]{16,}", "[...]", redact(self.path))
        return f"{self.scheme}://{self.authority}{path}{'?[...]' if self.query else ''}"


def target(url: str) -> Target:
    """The parts of a callback URL. Raises :class:`ConfigurationError`, which does not repeat the URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigurationError(_NO_URL) from None
    if re.fullmatch("[!-~]+", url) is None or parts.scheme not in _PORTS or not host or port == 0:
        raise ConfigurationError(_NO_URL)
    if "@" in parts.netloc:
        raise ConfigurationError("url: it has a user or a password in it, which nobody would send; leave them out")
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], parts.path or "/", parts.query)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Probe:
    """One request. ``bare`` leaves out the URL's query; ``signed`` adds a token of the test issuer, if there is one.

    ``spelling`` names another way to write the URL's path and the method, see :data:`SPELLINGS`.
    """

    name: str
    method: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    bare: bool = False
    signed: bool = False
    spelling: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response. Names of headers are in lower case; ``at`` is in seconds since 1970."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    at: float

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        return 400 <= self.status < 500

    @property
    def is_page(self) -> bool:
        return self.headers.get("content-type", "").lower().startswith("text/html")

    @property
    def has_code(self) -> bool:
        """Whether the body answers Event Grid's validation."""
        try:
            return bool(json.loads(self.body) == {"validationResponse": CODE})
        except (ValueError, RecursionError):
            return False


class Lost(StrEnum):
    """Why there is no answer. The values are names of faults."""

    NAME = "name_unknown"
    UNREACHABLE = "unreachable"
    TIMEOUT = "no_answer"
    CERTIFICATE = "certificate_invalid"
    TLS = "tls_failed"
    CLOSED = "connection_closed"


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer. ``detail`` has the reason in words; ``seconds`` is the time until the failure."""

    lost: Lost
    detail: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection, made at ``at``. ``addresses`` are the host's; the certificate ends at ``expires``.

    Both times are in seconds since 1970.
    """

    addresses: tuple[str, ...]
    at: float
    expires: float | None = None


Seen = Answer | Failure


def strangers_event() -> Probe:
    """The first request: a made-up event that nobody has signed."""
    return Probe("sender", "POST", {"content-type": "application/json"}, _event(), bare=True)


def further(*, signed: bool) -> tuple[Probe, ...]:
    """The other requests, in order. The signed test event comes last, and only if the caller has a token."""
    json_type = {"content-type": "application/json"}
    announced = {**json_type, "aeg-event-type": "SubscriptionValidation", "aeg-subscription-name": "RINGBACK-DOCTOR"}
    probes = (
        Probe("token", "POST", {**json_type, "authorization": f"Bearer {_forged()}"}, _event(), bare=True),
        # Without a token: Event Grid validates before it sends tokens, and never has a token of Call Automation.
        Probe("handshake", "POST", announced, _validation()),
        Probe("consent", "OPTIONS", {"webhook-request-origin": ORIGIN, "webhook-request-rate": "120"}),
        Probe("not_json", "POST", json_type, b"this is not JSON", signed=True),
        Probe("too_large", "POST", json_type, b" " * LARGE, signed=True),
        Probe("get", "GET", signed=True),
        Probe("head", "HEAD", signed=True),
    )
    return (*probes, Probe("signed", "POST", json_type, _event(), signed=True)) if signed else probes


def respelled() -> tuple[Probe, ...]:
    """The first request in other spellings of the URL, for an app that refused the first request."""
    first = strangers_event()
    return tuple(replace(first, name=f"spelling: {name}", spelling=name) for name in SPELLINGS)


def _event() -> bytes:
    source = f"calling/callConnections/{CALL}"
    return _encoded(
        {
            "id": "d0c70d0c-0000-4000-8000-000000000003",
            "source": source,
            "type": EVENT_TYPE,
            "data": {"callConnectionId": CALL, "serverCallId": CALL, "correlationId": CALL},
            "time": "2026-01-01T00:00:00.0000000+00:00",
            "specversion": "1.0",
            "datacontenttype": "application/json",
            "subject": source,
        }
    )


def _validation() -> bytes:
    return _encoded(
        {
            "id": "d0c70d0c-0000-4000-8000-000000000004",
            "topic": "/subscriptions/d0c70d0c-0000-4000-8000-000000000005",
            "subject": "",
            "data": {"validationCode": CODE},
            "eventType": VALIDATION_EVENT,
            "eventTime": "2026-01-01T00:00:00.0000000Z",
            "metadataVersion": "1",
            "dataVersion": "1",
        }
    )


def _forged() -> str:
    """A token of the right form that nobody has signed."""
    head = {"alg": "RS256", "typ": "JWT", "kid": "ringback-doctor"}
    claims = {"iss": "ringback doctor", "aud": CALL, "exp": 4102444800}
    parts = (json.dumps(head).encode(), json.dumps(claims).encode(), b"no signature" * 21)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def _encoded(event: Mapping[str, Any]) -> bytes:
    return json.dumps([event]).encode()
