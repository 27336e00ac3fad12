"""The decision on the body of a POST: an answer of Ringback's own, or a delivery with its outcomes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from ringback.core.events import MAX_BODY, MAX_EVENTS, Delivery, parse_content, refuse_encoded
from ringback.core.outcome import Outcome, classify_event
from ringback.exceptions import DeliveryError
from ringback.receiving.handshakes import validates, validation
from ringback.receiving.replies import Reply, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringback_catalog import Catalog


class Received(Struct, frozen=True, gc=False):
    """An acceptable delivery with its outcomes, in the order of its events."""

    delivery: Delivery
    outcomes: tuple[Outcome, ...]


class Intake(Struct, frozen=True):
    """The limits of one door, and the catalog of the engine behind the door. ``max_body`` is in bytes."""

    catalog: Catalog
    max_body: int = MAX_BODY
    max_events: int = MAX_EVENTS
    max_depth: int | None = None

    def receive(self, headers: Mapping[str, str], body: bytes | Reply, denied: Reply | None = None) -> Reply | Received:
        """As :meth:`read`, and classify."""
        read = self.read(headers, body, denied)
        if isinstance(read, Reply):
            return read
        classified = (classify_event(event, self.catalog) for event in read.events)
        return Received(read, tuple(outcome for outcome in classified if outcome is not None))

    def read(self, headers: Mapping[str, str], body: bytes | Reply, denied: Reply | None = None) -> Reply | Delivery:
        """Decide on a POST. ``headers`` have lower-case names. Bad input gives a reply, never an exception.

        ``body`` is already a reply where no whole body came. ``denied`` is the gate's answer to a refused sender; the
        sender gets ``denied`` unless the request proves to be a handshake.
        """
        decided = body if isinstance(body, Reply) else self._decide(headers, body)
        if denied is None:
            return decided
        is_handshake = isinstance(decided, Reply) and decided.status == 200
        return decided if is_handshake else denied

    def _decide(self, headers: Mapping[str, str], body: bytes) -> Reply | Delivery:
        try:
            if "content-encoding" in headers:
                refuse_encoded(headers)
            delivery = parse_content(body, self.max_body, self.max_events, self.max_depth)
            events = delivery.events
            if "aeg-event-type" in headers or (len(events) == 1 and validates(events[0])):
                handshake = validation(headers, delivery)
                if handshake is not None:
                    return handshake
        except DeliveryError as error:
            return refusal(error)
        return delivery


def announces_more(headers: Mapping[str, str], limit: int) -> bool:
    """Whether a request's Content-Length is more than ``limit`` bytes."""
    # The digits are counted first, because Python refuses to read a number of thousands of digits.
    announced = headers.get("content-length", "").lstrip("0")
    return announced.isdecimal() and (len(announced) > len(str(limit)) or int(announced) > limit)
