"""The service recognizes a repeated request and answers it as the first one.

https://learn.microsoft.com/rest/api/communication/repeatable-requests
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ringback.simulator.wire import Refused, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringback.simulator.wire import Request

TRACKED = 300.0
"""Seconds after Repeatability-First-Sent in which the service recognizes a repeated request."""


@dataclass(frozen=True, slots=True)
class _Seen:
    fingerprint: bytes
    first_sent: float
    reply: Reply


class Repeats:
    """The accepted requests of the last five minutes, by Repeatability-Request-ID."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def recall(self, request: Request) -> Reply | None:
        """The reply to this request so far, or ``None``. Raises :class:`Refused`: 412 too late, 400 another request."""
        key, first_sent = _repeatability(request)
        if key is None:
            return None
        if self._clock() - first_sent > TRACKED:
            raise Refused(412, "PreconditionFailed", "Repeatability-First-Sent is more than five minutes ago.")
        seen = self._seen.get(key)
        if seen is None:
            return None
        if seen.fingerprint != _fingerprint(request):
            raise Refused(400, "BadRequest", "This Repeatability-Request-ID was used for another request.")
        return seen.reply

    def remember(self, request: Request, reply: Reply) -> Reply:
        """The reply, marked as repeatable. The service keeps no error: the client may repeat a refused request."""
        key, first_sent = _repeatability(request)
        if key is None or reply.status >= 400:
            return reply
        oldest = self._clock() - TRACKED
        self._seen = {known: seen for known, seen in self._seen.items() if seen.first_sent >= oldest}
        marked = replace(reply, headers=(*reply.headers, ("repeatability-result", "accepted")))
        self._seen[key] = _Seen(_fingerprint(request), first_sent, marked)
        return marked


def _repeatability(request: Request) -> tuple[str | None, float]:
    key, sent = request.header("repeatability-request-id"), request.header("repeatability-first-sent")
    if not key or not sent:
        # The client sends some requests with the id alone; the service tracks requests with both headers.
        return None, 0.0
    try:
        return key.lower(), parsedate_to_datetime(sent).timestamp()
    except ValueError:
        raise Refused(400, "BadRequest", "Repeatability-First-Sent is no HTTP date.") from None


def _fingerprint(request: Request) -> bytes:
    return hashlib.sha256(f"{request.method}\n{request.target}\n".encode() + request.body).digest()
