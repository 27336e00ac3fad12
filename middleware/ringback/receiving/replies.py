"""The responses that Ringback gives by itself, in place of the route. Pure.

A refusal carries problem details (RFC 9457, https://www.rfc-editor.org/rfc/rfc9457).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from ringback.core.outcome import Outcome  # noqa: TC001 - msgspec reads the annotations
from ringback.exceptions import DeliveryError, DeliveryTooLarge, DeliveryTooSlow
from ringback.privacy.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringback.senders.auth import Refusal

_TITLES = {
    400: "Malformed delivery",
    401: "Unauthorized",
    405: "Method not allowed",
    408: "Delivery too slow",
    413: "Delivery too large",
    415: "Unsupported encoding",
    431: "Too many header fields",
    503: "Service unavailable",
}


class Reply(Struct, frozen=True):
    """An HTTP response that Ringback gives by itself. ``fact`` is the reason that the log names.

    ``sender_refused`` marks the answer to an unverified sender. ``outcomes`` are those of an accepted delivery that
    no route answers. ``reason`` is the word by which the reply is counted, or else ``fact`` is.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]
    fact: str
    sender_refused: bool = False
    outcomes: tuple[Outcome, ...] = ()
    reason: str = ""


def too_large(limit: int) -> Reply:
    """The answer to a body of more than ``limit`` bytes. The middleware reads no more of such a body."""
    return refusal(DeliveryTooLarge(f"the body has more than {limit} bytes; at most {limit} are accepted"))


def too_slow(seconds: float) -> Reply:
    """The answer to a body that did not arrive within ``seconds``."""
    return refusal(DeliveryTooSlow(f"the body did not arrive within {seconds:g} seconds"))


def refusal(error: DeliveryError) -> Reply:
    """The answer to a delivery that cannot be accepted. The answer says what is wrong and repeats nothing private."""
    detail = redact(str(error))
    members: dict[str, object] = {"detail": detail}
    if error.faults:
        members["faults"] = [{"index": fault.index, "reason": redact(fault.reason)} for fault in error.faults[:20]]
    return _problem(error.status, detail, members, reason=error.reason)


def denial(refused: Refusal) -> Reply:
    """The answer to a refused sender. The answer says nothing that would help to forge better."""
    headers: list[tuple[str, str]] = []
    if refused.status == 401:
        headers.append(("www-authenticate", "Bearer"))
    if refused.retry_after is not None:
        headers.append(("retry-after", str(refused.retry_after)))
    return _problem(refused.status, refused.reason, {}, *headers, sender_refused=True)


def unavailable(retry_after: int) -> Reply:
    """The answer while the store cannot keep deliveries: the sender may deliver again in ``retry_after`` seconds."""
    fact = "the store cannot be used now"
    return _problem(503, fact, {"detail": fact}, ("retry-after", str(retry_after)), reason="store")


def not_allowed() -> Reply:
    """The answer to a method that is neither a delivery nor a handshake, where no route takes the method."""
    fact = "the method is neither POST nor that of a handshake"
    return _problem(405, fact, {"detail": "deliveries are POSTed"}, ("allow", "OPTIONS, POST"))


def _problem(
    status: int,
    fact: str,
    members: Mapping[str, object],
    *headers: tuple[str, str],
    sender_refused: bool = False,
    reason: str = "",
) -> Reply:
    problem = {"type": "about:blank", "title": _TITLES[status], "status": status, **members}
    content_type = ("content-type", "application/problem+json")
    return Reply(status, msgspec.json.encode(problem), (content_type, *headers), fact, sender_refused, reason=reason)
