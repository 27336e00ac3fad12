"""The decision on the body of a POST: an answer of Ringback's own, or a delivery. Pure."""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ringback.core.events import Delivery, parse_content, refuse_encoded
from ringback.core.outcome import Outcome
from ringback.exceptions import DeliveryError
from ringback.receiving.handshakes import VALIDATION, validation
from ringback.receiving.replies import Reply, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from ringback.settings import Door

    Scope = MutableMapping[str, Any]


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
