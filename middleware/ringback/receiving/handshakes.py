"""The two handshakes in which Event Grid asks whether an endpoint wants the events of a subscription. Pure.

Event Grid's own schema has a POST with a validation event; the CloudEvents schema has an OPTIONS request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ringback.core.elements import content_of
from ringback.exceptions import MalformedDelivery
from ringback.receiving.replies import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringback.core.events import Delivery

VALIDATION_EVENT = "Microsoft.EventGrid.SubscriptionValidationEvent"

VALIDATION = VALIDATION_EVENT.lower()
"""The type of a validation event in lower case; a sender may write the type in any case."""


def consent(headers: Mapping[str, str]) -> Reply | None:
    """The answer to an OPTIONS request of the CloudEvents webhook handshake; ``None`` for another OPTIONS request.

    Source: https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md#4-abuse-protection
    """
    origin = headers.get("webhook-request-origin")
    if origin is None:
        return None
    granted = (("allow", "OPTIONS, POST"), ("webhook-allowed-origin", origin), ("webhook-allowed-rate", "*"))
    return Reply(200, b"", granted, "cloudevents")


def validation(headers: Mapping[str, str], delivery: Delivery) -> Reply | None:
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
