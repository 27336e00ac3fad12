"""What to do with a request to the callback path: answer it ourselves, or pass it on with its outcomes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from ringback.events import MAX_BODY, MAX_EVENTS, Delivery, parse_content, refuse_encoded
from ringback.exceptions import (
    ConfigurationError,
    DeliveryError,
    DeliveryTooLarge,
    DeliveryTooSlow,
    MalformedDelivery,
)
from ringback.outcome import Outcome, classify_event
from ringback.redaction import redact
from ringback_catalog import Catalog  # noqa: TC001 - msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringback.auth import Refusal

VALIDATION_EVENT = "Microsoft.EventGrid.SubscriptionValidationEvent"

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
    """An HTTP response that Ringback gives by itself. ``fact`` says why, for the log.

    ``sender_refused`` tells the answer to an unverified sender from that to a bad delivery. ``outcomes`` are
    those of a delivery that was accepted where there is no route to answer it.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]
    fact: str
    sender_refused: bool = False
    outcomes: tuple[Outcome, ...] = ()


class Received(Struct, frozen=True, gc=False):
    """An acceptable delivery with its outcomes, in the order of its events."""

    delivery: Delivery
    outcomes: tuple[Outcome, ...]


class Intake(Struct, frozen=True):
    """The limits and the catalog of one callback endpoint."""

    catalog: Catalog
    max_body: int = MAX_BODY
    max_events: int = MAX_EVENTS
    max_depth: int | None = None

    def __post_init__(self) -> None:
        limits = (("max_body", self.max_body), ("max_events", self.max_events), ("max_depth", self.max_depth))
        for name, value in limits:
            if value is not None and value < 1:
                raise ConfigurationError(f"{name} {value!r} accepts nothing; give a positive number")

    def receive(self, headers: Mapping[str, str], body: bytes | Reply, denied: Reply | None = None) -> Reply | Received:
        """Decide on a POST. ``headers`` have lower-case names. Bad input is a reply, never an exception.

        ``body`` is the reply itself where no whole body came. ``denied`` is the answer to a sender
        that was refused: it stands unless the request proves to be nothing but a handshake.
        """
        decided = body if isinstance(body, Reply) else self._decide(headers, body)
        if denied is None:
            return decided
        handshake = isinstance(decided, Reply) and decided.status == 200
        return decided if handshake else denied

    def _decide(self, headers: Mapping[str, str], body: bytes) -> Reply | Received:
        try:
            if "content-encoding" in headers:
                refuse_encoded(headers)
            delivery = parse_content(body, self.max_body, self.max_events, self.max_depth)
            events = delivery.events
            if "aeg-event-type" in headers or (len(events) == 1 and events[0].type == VALIDATION_EVENT):
                code = _validation_code(headers, delivery)
                if code is not None:
                    answer = msgspec.json.encode({"validationResponse": code})
                    return Reply(200, answer, (("content-type", "application/json"),), "eventgrid")
        except DeliveryError as error:
            return refusal(error)
        catalog = self.catalog
        outcomes = [outcome for event in events if (outcome := classify_event(event, catalog)) is not None]
        return Received(delivery, tuple(outcomes))


def announces_more(headers: Mapping[str, str], limit: int) -> bool:
    """Whether a request says of itself that its body has more than ``limit`` bytes."""
    # By its length first: Python refuses to read a number of thousands of digits.
    announced = headers.get("content-length", "").lstrip("0")
    return announced.isdecimal() and (len(announced) > len(str(limit)) or int(announced) > limit)


def too_large(limit: int) -> Reply:
    """The answer to a body of more than ``limit`` bytes, of which no more is read."""
    return refusal(DeliveryTooLarge(f"the body has more than {limit} bytes; at most {limit} are accepted"))


def too_slow(seconds: float) -> Reply:
    """The answer to a body that did not arrive in time."""
    return refusal(DeliveryTooSlow(f"the body did not arrive within {seconds:g} seconds"))


def refusal(error: DeliveryError) -> Reply:
    """The answer to what is no acceptable delivery. Says what was wrong, repeats nothing private."""
    detail = redact(str(error))
    members: dict[str, object] = {"detail": detail}
    if error.faults:
        members["faults"] = [{"index": each.index, "reason": redact(each.reason)} for each in error.faults[:20]]
    return _problem(error.status, detail, members)


def denial(refused: Refusal) -> Reply:
    """The answer to a sender that is not let through. Says nothing that would help to forge better."""
    headers: list[tuple[str, str]] = []
    if refused.status == 401:
        headers.append(("www-authenticate", "Bearer"))
    if refused.retry_after is not None:
        headers.append(("retry-after", str(refused.retry_after)))
    return _problem(refused.status, refused.reason, {}, *headers, sender_refused=True)


def unavailable(retry_after: int) -> Reply:
    """The answer to a delivery that cannot be kept now: the sender is asked to come again."""
    fact = "the store cannot be used now"
    return _problem(503, fact, {"detail": fact}, ("retry-after", str(retry_after)))


def not_allowed() -> Reply:
    """The answer to a method that is neither a delivery nor a handshake, where there is no route for it."""
    fact = "the method is neither POST nor that of a handshake"
    return _problem(405, fact, {"detail": "deliveries are POSTed"}, ("allow", "OPTIONS, POST"))


def _problem(
    status: int, fact: str, members: Mapping[str, object], *headers: tuple[str, str], sender_refused: bool = False
) -> Reply:
    """A reply with RFC 9457 problem details."""
    problem = {"type": "about:blank", "title": _TITLES[status], "status": status, **members}
    content_type = ("content-type", "application/problem+json")
    return Reply(status, msgspec.json.encode(problem), (content_type, *headers), fact, sender_refused)


def consent(headers: Mapping[str, str]) -> Reply | None:
    """The answer to an OPTIONS request of the CloudEvents webhook handshake; ``None`` if it is none."""
    origin = headers.get("webhook-request-origin")
    if origin is None:
        return None
    granted = (("allow", "OPTIONS, POST"), ("webhook-allowed-origin", origin), ("webhook-allowed-rate", "*"))
    return Reply(200, b"", granted, "cloudevents")


def _validation_code(headers: Mapping[str, str], delivery: Delivery) -> str | None:
    """The code to echo if this is Event Grid's validation handshake."""
    announced = headers.get("aeg-event-type", "").lower() == "subscriptionvalidation"
    event = delivery.events[0] if len(delivery.events) == 1 and not delivery.faults else None
    if event is None or event.type != VALIDATION_EVENT:
        if announced:
            raise MalformedDelivery(
                f"aeg-event-type announces a validation, but the body is no single {VALIDATION_EVENT}"
            )
        return None
    try:
        code = msgspec.json.decode(event.raw, type=_Validation).data.validationCode
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # The bytes were events, but what no event needs was skipped unread: it may be anything.
        raise MalformedDelivery("the validation event has no data.validationCode") from error
    return code


class _ValidationData(Struct):
    validationCode: str  # noqa: N815 - the key on the wire


class _Validation(Struct):
    data: _ValidationData
