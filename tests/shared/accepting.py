"""An accepted delivery as the log, the telemetry and listeners get it, without a door."""

from __future__ import annotations

from ringback.core.events import parse_delivery
from ringback.core.outcome import classify_event
from ringback.receiving.intake import Received


def received_of(body: bytes | str) -> Received:
    """The delivery of this body with its outcomes, by the packaged catalog."""
    delivery = parse_delivery(body)
    outcomes = map(classify_event, delivery.events)
    return Received(delivery, tuple(outcome for outcome in outcomes if outcome is not None))
