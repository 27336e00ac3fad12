"""The decision on the body of a POST: an answer of Ringback's own, or a delivery with its outcomes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from ringback.core.events import Delivery, parse_content, refuse_encoded
from ringback.core.outcome import Outcome, classify_event
from ringback.exceptions import DeliveryError
from ringback.receiving.handshakes import VALIDATION, validation
from ringback.receiving.replies import Reply, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from ringback.settings import Door
    from ringback_catalog import Catalog

    Scope = MutableMapping[str, Any]


class Received(Struct, frozen=True, gc=False):
    """An acceptable delivery with its outcomes, in the order of its events."""

    delivery: Delivery
    outcomes: tuple[Outcome, ...]


class Intake:
    """Decides on what comes to one ``door``. An outcome carries each setting of the door that it has a field for."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.carried = {name: getattr(door, name) for name in Outcome.__struct_fields__ if hasattr(door, name)}

    def receive(self, headers: Mapping[str, str], body: bytes, catalog: Catalog | None = None) -> Reply | Received:
        """As :meth:`read`, and classify with the ``catalog`` of the engine."""
        read = self.read(headers, body)
        if isinstance(read, Reply):
            return read
        outcomes = [outcome for event in read.events if (outcome := classify_event(event, catalog)) is not None]
        return Received(read, tuple(replace(outcome, **self.carried) for outcome in outcomes))

    def read(self, headers: Mapping[str, str], body: bytes) -> Reply | Delivery:
        """Decide on a POST. Bad input gives a reply, never an exception.

        ``headers`` have lower-case names.
        """
        door = self._door
        try:
            if "content-encoding" in headers:
                refuse_encoded(headers)
            delivery = parse_content(body, door.max_body, door.max_events, door.max_depth)
            events = delivery.events
            if "aeg-event-type" in headers or (len(events) == 1 and events[0].type.lower() == VALIDATION):
                handshake = validation(headers, delivery)
                if handshake is not None:
                    return handshake
        except DeliveryError as error:
            return refusal(error)
        return delivery


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
