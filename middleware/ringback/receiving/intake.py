"""What a request brings: a delivery, or a handshake in which Event Grid asks whether an endpoint wants events. Pure.

Event Grid's own schema has a POST with a validation event; the CloudEvents schema has an OPTIONS request.
"""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from ringback.core.elements import content_of
from ringback.core.events import Delivery, parse_content, refuse_encoded
from ringback.core.outcome import Outcome
from ringback.exceptions import DeliveryError, MalformedDelivery
from ringback.receiving.replies import Reply, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping

    from ringback.settings import Door

    Scope = MutableMapping[str, Any]

VALIDATION_EVENT = "Microsoft.EventGrid.SubscriptionValidationEvent"

VALIDATION = VALIDATION_EVENT.lower()
"""The type of a validation event in lower case; a sender may write the type in any case."""


class Received(Struct, frozen=True, gc=False):
    """An acceptable delivery with its outcomes, in the order of its events.

    ``early`` has the keys of the operations whose hooks wait for the end of the response, or for the settle time.
    """

    delivery: Delivery
    outcomes: tuple[Outcome, ...]
    early: Sequence[str] = ()


def carried_by(door: Door) -> dict[str, Any]:
    """The settings of the door that each outcome carries: those that have the name of a field of an outcome."""
    return {name: getattr(door, name) for name in Outcome.__struct_fields__ if hasattr(door, name)}


def delivery_of(body: bytes, headers: Mapping[str, str], door: Door) -> Reply | Delivery:
    """Decide on a POST to the door. Bad input gives a reply, never an exception.

    ``headers`` have lower-case names.
    """
    try:
        if "content-encoding" in headers:
            refuse_encoded(headers)
        delivery = parse_content(body, door.max_body, door.max_events, door.max_depth)
        events = delivery.events
        if "aeg-event-type" in headers or (len(events) == 1 and events[0].type.lower() == VALIDATION):
            handshake = _validation(headers, delivery)
            if handshake is not None:
                return handshake
    except DeliveryError as error:
        return refusal(error)
    return delivery


def _validation(headers: Mapping[str, str], delivery: Delivery) -> Reply | None:
    """The answer to Event Grid's validation event, which echoes the event's code; ``None`` for other deliveries.

    Raises :class:`MalformedDelivery` for a validation without a code, and for an announced one that does not come.
    Source: https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema
    """
    announced = headers.get("aeg-event-type", "").lower() == "subscriptionvalidation"
    event = delivery.events[0] if len(delivery.events) == 1 and not delivery.faults else None
    if event is None or event.type.lower() != VALIDATION:
        if announced:
            raise MalformedDelivery(
                f"aeg-event-type announces a validation, but the body is no single {VALIDATION_EVENT}",
                reason="validation",
            )
        return None
    try:
        code = content_of(event.raw).get("validationcode")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The fast decoder skips the members that no event needs, so the skipped bytes may be malformed.
        code = None
    if not isinstance(code, str):
        raise MalformedDelivery("the validation event has no data.validationCode", reason="validation")
    answer = msgspec.json.encode({"validationResponse": code})
    return Reply(200, answer, (("content-type", "application/json"),), "eventgrid")


def consent(headers: Iterable[tuple[bytes, bytes]]) -> Reply | None:
    """The answer to an OPTIONS request of the CloudEvents webhook handshake; ``None`` for another OPTIONS request.

    Source: https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md#4-abuse-protection
    """
    origin = dict(headers).get(b"webhook-request-origin")
    if origin is None:
        return None
    granted = (("webhook-allowed-origin", origin.decode("latin-1")), ("webhook-allowed-rate", "*"))
    return Reply(200, b"", (("allow", "OPTIONS, POST"), *granted), "cloudevents")


def headers_of_the_body(scope: Scope, limit: int) -> Mapping[str, str] | None:
    """The headers that describe the body, by lower-case name; ``None`` if they announce more than ``limit`` bytes.

    The values of a repeated header are joined with commas.
    """
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = _BODY_HEADERS.get(name)
        if key is not None:
            text = value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
    # The digits are counted first, because Python refuses to read a number of thousands of digits.
    announced = headers.get("content-length", "").lstrip("0")
    is_more = announced.isdecimal() and (len(announced) > len(str(limit)) or int(announced) > limit)
    return None if is_more else headers


# In lower case, as in ASGI.
_BODY_HEADERS = {name.encode(): name for name in ("content-length", "content-encoding", "aeg-event-type")}
