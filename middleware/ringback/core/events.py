"""Bytes to frozen events: every acceptable delivery is a value, every other one is one error type.

Accepted are a JSON array of CloudEvents (Call Automation), a bare CloudEvent and an array of Event Grid events. An
element that is no event becomes a fault with its index and reason; the other elements are parsed all the same. Keys
may have any case. Events of unknown types stay as received.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, cast

from msgspec import DecodeError
from msgspec.json import Decoder
from msgspec.structs import force_setattr

from ringback.core.delivery import (
    Delivery,
    Diagnostic,
    Event,
    EventData,
    Fault,
    Number,
    Origin,
    Result,
    Update,
    split,
)
from ringback.core.elements import read_element, why, without_lone_halves
from ringback.exceptions import DeliveryTooLarge, MalformedDelivery, UnsupportedEncoding
from ringback.settings import MAX_BODY, MAX_EVENTS
from ringback_catalog import EVENTS, PREFIX, event_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    Headers = Mapping[str, str] | Iterable[tuple[bytes, bytes]] | Iterable[tuple[str, str]]
    """HTTP headers as a mapping, or as pairs of text or bytes. Names in any case."""

__all__ = [
    "MAX_BODY",
    "MAX_EVENTS",
    "Delivery",
    "Diagnostic",
    "Event",
    "EventData",
    "Fault",
    "Number",
    "Result",
    "Update",
    "parse_content",
    "parse_delivery",
    "raw_body",
    "refuse_encoded",
]


def parse_delivery(
    body: bytes | str,
    headers: Headers = (),
    *,
    max_body: int = MAX_BODY,
    max_events: int = MAX_EVENTS,
    max_depth: int | None = None,
) -> Delivery:
    """The events in a request body of at most ``max_body`` bytes and ``max_events`` events.

    Raises :class:`MalformedDelivery` if the body is not JSON or has elements and none is an event,
    :class:`DeliveryTooLarge` above the limits, :class:`UnsupportedEncoding` if ``headers`` name a compression of the
    body. All are :class:`~ringback.exceptions.DeliveryError` with a ``status``. An empty array is a delivery without
    events. ``max_depth`` limits the nesting of the body; by default the decoder's limit holds: some hundred levels, and
    from Python 3.14 on what the thread's stack bears.
    """
    if headers:
        refuse_encoded(headers)
    return parse_content(raw_body(body), max_body, max_events, max_depth)


def raw_body(body: object) -> bytes:
    """The body as bytes. Raises :class:`TypeError` for what is neither bytes nor text, such as the JSON's list."""
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(cast("bytes", body))
    raise TypeError(
        f"a body of type {type(body).__name__} is neither bytes nor text; give the request's raw body, such as "
        "await request.body()"
    )


def parse_content(content: bytes, max_body: int, max_events: int, max_depth: int | None) -> Delivery:
    """As :func:`parse_delivery`, for bytes that are not compressed."""
    if len(content) > max_body:
        raise DeliveryTooLarge(f"the body has {len(content)} bytes; at most {max_body} are accepted")
    if content[:1] != b"[":
        # Only what is rare is stripped: nearly every body begins with its array, and the decoder checks what follows.
        content = content.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n")
    if max_depth is not None:
        _refuse_nested(content, max_depth)
    try:
        if content[:1] == b"[":
            return _parse_array(content, max_events)
        if content[:1] == b"{":
            event = read_element(content, 0, Origin(content, 0))
            if isinstance(event, Fault):
                raise MalformedDelivery(event.reason, (event,), reason="no_event" if _is_json(content) else "not_json")
            return Delivery((event,))
    except MalformedDelivery:
        whole = without_lone_halves(content)
        if whole == content:
            raise
        delivery = parse_content(whole, max_body, max_events, max_depth)
        faulty = {fault.index for fault in delivery.faults}
        for event, index in zip(delivery.events, (each for each in count() if each not in faulty), strict=False):
            force_setattr(event, "_origin", Origin(whole, index, content))
        return delivery
    if not content:
        raise MalformedDelivery("the body is empty; send a JSON array of CloudEvents", reason="empty")
    raise _no_json(content, "the body is neither a JSON array nor an object; send a JSON array of CloudEvents")


def _no_json(content: bytes, found: str) -> MalformedDelivery:
    if content[:2] == b"\x1f\x8b":
        return MalformedDelivery("the body is compressed with gzip, and no content-encoding says so; send JSON")
    # A text in UTF-8 has no NUL there, and one in UTF-16 or UTF-32 has, with its byte order mark or without.
    return MalformedDelivery("the body is UTF-16 or UTF-32; send UTF-8" if b"\0" in content[:4] else found)


def _is_json(content: bytes) -> bool:
    try:
        split(b"[%b]" % content)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _refuse_nested(content: bytes, limit: int) -> None:
    if content.count(b"[") + content.count(b"{") <= limit:
        return
    depth = 0
    for token in _TOKENS.finditer(content):
        if token[0] in (b"[", b"{"):
            depth += 1
            if depth > limit:
                raise MalformedDelivery(f"the body is nested more than {limit} levels deep", reason="too_deep")
        elif token[0] in (b"]", b"}"):
            depth -= 1


# Brackets and whole strings: a bracket within a string nests nothing.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{}\]]', re.DOTALL)


def refuse_encoded(headers: Headers) -> None:
    """Raise :class:`UnsupportedEncoding` if the headers name a content encoding."""
    pairs = cast("Iterable[tuple[str, str]]", headers.items() if isinstance(headers, Mapping) else headers)
    for name, value in pairs:
        if _text(name).lower() != "content-encoding":
            continue
        # A server may join a repeated header with commas (RFC 9110, section 5.3).
        if any(encoding.strip().lower() not in ("", "identity") for encoding in _text(value).split(",")):
            raise UnsupportedEncoding(f"content-encoding {_text(value)[:40]!r} is not accepted; send plain JSON")


def _text(header: str | bytes) -> str:
    return header if isinstance(header, str) else header.decode("latin-1")


def _parse_array(content: bytes, max_events: int) -> Delivery:
    try:
        events = _decode_array(content)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        # Some element is no CloudEvent in the service's spelling.
        return _parse_singly(content, max_events)
    if len(events) > max_events:
        raise _too_many(len(events), max_events)
    incomplete: list[Event] = []
    for index, event in enumerate(events):
        force_setattr(event, "_origin", Origin(content, index))
        data = event.data
        if (
            data.result_information is None
            or not data.operation_context
            or not data.call_connection_id
            or not data.correlation_id
            or not data.server_call_id
            or not event.id
            or event.time is None
            or event.source is None
            or event.subject is None
            or data.version is None
            or event.type not in _PLAIN_TYPES
        ):
            if not event.type.strip():
                return _parse_singly(content, max_events)
            incomplete.append(event)
    if incomplete and _spelled_otherwise(content, incomplete):
        return _parse_singly(content, max_events)
    return Delivery(tuple(events))


def _spelled_otherwise(content: bytes, events: Iterable[Event]) -> bool:
    """Whether a key that one of the events lacks stands in the body in another case, under its old name, or empty."""
    lowered = content.lower()
    if _ESCAPED_LETTER.search(lowered) is not None:
        return True
    empty, absent = b'""' in content, set[str]()
    for event in events:
        data = event.data
        read = (
            (("id",), event.id),
            (("source", "topic"), event.source),
            (("subject",), event.subject),
            (("time", "eventTime"), event.time),
            (("callConnectionId",), data.call_connection_id),
            (("correlationId",), data.correlation_id),
            (("operationContext",), data.operation_context),
            (("serverCallId",), data.server_call_id),
            (("version",), data.version),
            (("resultInformation", "resultInfo", "reason", "data", "data_base64"), data.result_information),
            (_WITH_UPDATE.get(event_name(event.type), ()), data.status_details),
        )
        if empty and "" in _names(event):
            return True
        absent.update([key for keys, value in read if value is None for key in keys])
    for key in absent:
        expected = 0 if key in _OLD else content.count(b'"%s"' % key.encode())
        if lowered.count(b'"%s"' % key.lower().encode()) > expected:
            return True
    return False


def _names(event: Event) -> tuple[str | None, ...]:
    data = event.data
    return event.id, data.call_connection_id, data.correlation_id, data.server_call_id, data.operation_context


# Keys that the fast decoder does not read: those of the previews of 2022, of Event Grid and of binary data.
_OLD = frozenset({"resultInfo", "reason", "topic", "eventTime", "data_base64"})

# The keys of an event's data that say why media streaming or transcription started, stopped or failed.
_WITH_UPDATE = {
    name: (f"{kind}Update", f"{kind}StatusDetails")
    for name in EVENTS
    for kind in ("mediaStreaming", "transcription")
    if name.lower().startswith(kind.lower())
}

# The types, in the service's spelling, of the events that have neither key.
_PLAIN_TYPES = frozenset(f"{PREFIX}{name}" for name in EVENTS if name not in _WITH_UPDATE)

# JSON allows escapes in keys, and a sender that escapes a key's letters hides the key from a search of the body.
_ESCAPED_LETTER = re.compile(rb"\\u00[4-7]")


def _parse_singly(content: bytes, max_events: int) -> Delivery:
    try:
        elements = split(content)
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _no_json(content, f"the body is not JSON: {why(error)}") from error
    if len(elements) > max_events:
        raise _too_many(len(elements), max_events)
    parsed = [read_element(bytes(element), index, Origin(content, index)) for index, element in enumerate(elements)]
    events = tuple(element for element in parsed if isinstance(element, Event))
    faults = tuple(element for element in parsed if isinstance(element, Fault))
    if faults and not events:
        raise MalformedDelivery(f"no element is an event; element 0: {faults[0].reason}", faults, reason="no_event")
    return Delivery(events, faults)


def _too_many(count: int, limit: int) -> DeliveryTooLarge:
    return DeliveryTooLarge(f"the body holds {count} events; at most {limit} are accepted", reason="events")


_decode_array = Decoder(list[Event]).decode
