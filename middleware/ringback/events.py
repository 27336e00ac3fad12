"""Bytes to frozen events: every acceptable delivery is a value, every other one is one error type.

Accepted are a JSON array of CloudEvents (Call Automation), a bare CloudEvent and an array of
Event Grid events. One element that is no event is reported by index and reason while the others
go on. Keys are read whatever their case; unknown types and attributes are kept as they came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import DecodeError, Meta, Raw, Struct, ValidationError
from msgspec.json import Decoder
from msgspec.structs import force_setattr

from ringback.exceptions import DeliveryTooLarge, MalformedDelivery, UnsupportedEncoding
from ringback_catalog import event_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    Headers = Mapping[str, str] | Iterable[tuple[bytes, bytes]] | Iterable[tuple[str, str]]
    """HTTP headers as a mapping, or as pairs of text or bytes. Names in any case."""

MAX_BODY = 1024 * 1024
"""Bytes of one delivery. Event Grid sends at most 1 MB; Call Automation about 1 kB."""

MAX_EVENTS = 5000
"""Events of one delivery: the most Event Grid puts into one batch."""

_BIGGEST = 2**31 - 1
Number = Annotated[int, Meta(ge=-_BIGGEST, le=_BIGGEST)]
"""A code, subcode, SIP status or Q.850 cause. Anything larger is none of these and reads as absent."""


class Diagnostic(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What a carrier or Session Border Controller reported: a SIP status or a Q.850 cause."""

    code: Number | None = None
    message: str | None = None


class Result(
    Struct,
    frozen=True,
    gc=False,
    # An unknown key sends the element down the tolerant path, which ignores the keys' case.
    forbid_unknown_fields=True,
    rename={"subcode": "subCode", "sip": "sipDetails", "q850": "q850Details"},
):
    """``resultInformation`` as received. The message is unstable and may embed phone numbers."""

    code: Number | None = None
    subcode: Number | None = None
    message: str | None = None
    sip: Diagnostic | None = None
    q850: Diagnostic | None = None


class EventData(Struct, frozen=True, gc=False, rename="camel"):
    """The parts of an event's ``data`` that every Call Automation event may carry."""

    call_connection_id: str | None = None
    server_call_id: str | None = None
    correlation_id: str | None = None
    operation_context: str | None = None
    version: str | None = None
    result_information: Result | None = None


class Event(Struct, frozen=True, gc=False, rename={"_origin": "ringback:origin"}):
    """One CloudEvent or Event Grid event as received; ``raw`` are its own bytes, never rebuilt.

    ``type`` is the full type as received (Event Grid's ``eventType``), ``name`` the short one in
    the service's spelling, ``time`` the text as received.
    """

    type: str
    id: str | None = None
    source: str | None = None
    subject: str | None = None
    time: str | None = None
    data: EventData = EventData()
    _origin: _Origin | None = None

    @property
    def name(self) -> str:
        return event_name(self.type)

    @property
    def result(self) -> Result | None:
        return self.data.result_information

    @property
    def occurred_at(self) -> datetime | None:
        """The event's time in UTC, to the microsecond; ``None`` if it is missing or no time."""
        if self.time is None:
            return None
        try:
            time = datetime.fromisoformat(self.time)
            if time.tzinfo is UTC:
                return time
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    @property
    def raw(self) -> bytes:
        """The element's bytes in the body; empty for an event that never was one."""
        return b"" if self._origin is None else self._origin.element()

    def __repr__(self) -> str:
        # The message and the data may hold phone numbers; a repr ends up in logs.
        return f"<Event {self.type} id={self.id}>"


class _Origin(Struct, frozen=True, gc=False, eq=False):
    """Where an event stood: the whole body and its index in it. Split only when asked."""

    body: bytes
    index: int

    def element(self) -> bytes:
        if self.body[:1] != b"[":
            return self.body
        return bytes(_split(self.body)[self.index])


class Fault(Struct, frozen=True):
    """One element of a delivery that is no event: its index in the array, and why."""

    index: int
    reason: str


class Delivery(Struct, frozen=True, gc=False):
    """The events of one request in order, and the elements that were none."""

    events: tuple[Event, ...]
    faults: tuple[Fault, ...] = ()


def parse_delivery(
    body: bytes | str,
    headers: Headers = (),
    *,
    max_body: int = MAX_BODY,
    max_events: int = MAX_EVENTS,
    max_depth: int | None = None,
) -> Delivery:
    """The events in a request body.

    Raises :class:`MalformedDelivery` if the body is not JSON or has elements and none is an event,
    :class:`DeliveryTooLarge` above the limits, :class:`UnsupportedEncoding` if ``headers`` say
    that it is compressed. All are :class:`~ringback.exceptions.DeliveryError` with a ``status``.
    An empty array is a delivery without events. ``max_depth`` bounds the nesting of the body; by
    default that is the decoder's own bound, some hundred levels.
    """
    if headers:
        refuse_encoded(headers)
    content = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
    return parse_content(content, max_body, max_events, max_depth)


def parse_content(content: bytes, max_body: int, max_events: int, max_depth: int | None) -> Delivery:
    """As :func:`parse_delivery`, of bytes that are known to be plain."""
    if len(content) > max_body:
        raise DeliveryTooLarge(f"the body has {len(content)} bytes; at most {max_body} are accepted")
    if content[:1] != b"[":
        # Nearly every body is an array from its first byte on. What follows an array the decoder sees to.
        content = content.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n")
    if max_depth is not None:
        _refuse_nested(content, max_depth)
    if content[:1] == b"[":
        return _parse_array(content, max_events)
    if content[:1] == b"{":
        event = _tolerant(content, 0, _Origin(content, 0))
        if isinstance(event, Fault):
            raise MalformedDelivery(event.reason, (event,))
        return Delivery((event,))
    if not content:
        raise MalformedDelivery("the body is empty; send a JSON array of CloudEvents")
    raise MalformedDelivery("the body is neither a JSON array nor an object; send a JSON array of CloudEvents")


def _refuse_nested(content: bytes, limit: int) -> None:
    if content.count(b"[") + content.count(b"{") <= limit:
        return
    depth = 0
    for token in _TOKENS.finditer(content):
        if token[0] in (b"[", b"{"):
            depth += 1
            if depth > limit:
                raise MalformedDelivery(f"the body is nested more than {limit} levels deep")
        elif token[0] in (b"]", b"}"):
            depth -= 1


# Brackets, and strings to step over them: what stands in a string nests nothing.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{}\]]', re.DOTALL)


def refuse_encoded(headers: Headers) -> None:
    """Raise :class:`UnsupportedEncoding` if the headers name a content encoding."""
    pairs = cast("Iterable[tuple[str, str]]", headers.items() if isinstance(headers, Mapping) else headers)
    for name, value in pairs:
        if _text(name).lower() != "content-encoding":
            continue
        # A header that is repeated may come as one, with commas.
        if any(each.strip().lower() not in ("", "identity") for each in _text(value).split(",")):
            raise UnsupportedEncoding(f"content-encoding {_text(value)[:40]!r} is not accepted; send plain JSON")


def _text(header: str | bytes) -> str:
    return header if isinstance(header, str) else header.decode("latin-1")


def _parse_array(content: bytes, max_events: int) -> Delivery:
    try:
        events = _decode_array(content)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        # Not all elements are CloudEvents in the service's spelling: look at each by itself.
        return _parse_each(content, max_events)
    if len(events) > max_events:
        raise DeliveryTooLarge(f"the body holds {len(events)} events; at most {max_events} are accepted")
    absent: set[str] | None = None
    for index, event in enumerate(events):
        force_setattr(event, "_origin", _Origin(content, index))
        data = event.data
        if not event.type.strip():
            return _parse_each(content, max_events)
        if (
            data.result_information is None
            or data.operation_context is None
            or data.call_connection_id is None
            or data.correlation_id is None
            or data.server_call_id is None
            or event.id is None
            or event.time is None
            or event.source is None
            or event.subject is None
            or data.version is None
        ):
            absent = absent or set()
            absent.update(key for key, value in _wanted(event) if value is None)
    if absent and _spelled_otherwise(content, absent):
        return _parse_each(content, max_events)
    return Delivery(tuple(events))


def _wanted(event: Event) -> Iterable[tuple[str, object]]:
    data = event.data
    yield "id", event.id
    yield "subject", event.subject
    yield "version", data.version
    if event.source is None:
        yield from (("source", None), ("topic", None))
    if event.time is None:
        yield from (("time", None), ("eventTime", None))
    yield "callConnectionId", data.call_connection_id
    yield "correlationId", data.correlation_id
    yield "operationContext", data.operation_context
    yield "serverCallId", data.server_call_id
    if data.result_information is None:
        yield from (("resultInformation", None), ("resultInfo", None), ("reason", None), ("data", None))


def _spelled_otherwise(content: bytes, keys: Iterable[str]) -> bool:
    """Whether a key that some event lacks stands in the body in another case, or under its old name."""
    lowered = content.lower()
    return _ESCAPED_LETTER.search(lowered) is not None or any(
        lowered.count(b'"%s"' % key.lower().encode()) > (0 if key in _OLD else content.count(b'"%s"' % key.encode()))
        for key in keys
    )


# Keys that the fast decoding does not read: the 2022 previews' and Event Grid's.
_OLD = frozenset({"resultInfo", "reason", "topic", "eventTime"})

# JSON allows escapes in keys. The service escapes "+" (\u002B) in values; nobody escapes letters.
_ESCAPED_LETTER = re.compile(rb"\\u00[4-7]")


def _parse_each(content: bytes, max_events: int) -> Delivery:
    try:
        elements = _split(content)
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedDelivery(f"the body is not JSON: {_why(error)}") from error
    if len(elements) > max_events:
        raise DeliveryTooLarge(f"the body holds {len(elements)} events; at most {max_events} are accepted")
    parsed = [_tolerant(bytes(each), index, _Origin(content, index)) for index, each in enumerate(elements)]
    events = tuple(each for each in parsed if isinstance(each, Event))
    faults = tuple(each for each in parsed if isinstance(each, Fault))
    if faults and not events:
        raise MalformedDelivery(f"no element is an event; element 0: {faults[0].reason}", faults)
    return Delivery(events, faults)


def _tolerant(element: bytes, index: int, origin: _Origin) -> Event | Fault:
    """One element read key by key, whatever their case; anything but an event is a fault."""
    try:
        content: Any = _decode_any(element)
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Fault(index, f"not JSON: {_why(error)}")
    if not isinstance(content, dict):
        return Fault(index, f"a JSON {_kind(content)}, not an object; send a CloudEvent")
    keys = _folded(cast("object", content))
    if not keys.keys() & {"type", "eventtype", "data"} and isinstance(keys.get("publiceventtype"), str):
        # Some relays forward an event's data alone; it names its own type.
        keys = dict[str, Any](type=keys["publiceventtype"], data=content)
    event_type = keys.get("type") if isinstance(keys.get("type"), str) else keys.get("eventtype")
    if not isinstance(event_type, str) or not event_type.strip():
        return Fault(index, "no type (CloudEvents) and no eventType (Event Grid); send one of the two schemas")
    time = keys.get("time") if "time" in keys else keys.get("eventtime")
    return Event(
        type=event_type,
        id=_string(keys.get("id")),
        source=_string(keys.get("source") if "source" in keys else keys.get("topic")),
        subject=_string(keys.get("subject")),
        time=_string(time),
        data=_data(keys.get("data")),
        _origin=origin,
    )


def _data(value: object) -> EventData:
    keys = _folded(value)
    found = (keys[name] for name in ("resultinformation", "resultinfo", "reason") if isinstance(keys.get(name), dict))
    return EventData(
        call_connection_id=_string(keys.get("callconnectionid")),
        server_call_id=_string(keys.get("servercallid")),
        correlation_id=_string(keys.get("correlationid")),
        operation_context=_string(keys.get("operationcontext")),
        version=_string(keys.get("version")),
        result_information=_result(next(found, None)),
    )


def _result(value: object) -> Result | None:
    if value is None:
        return None
    keys = _folded(value)
    return Result(
        code=_number(keys.get("code")),
        subcode=_number(keys.get("subcode")),
        message=_string(keys.get("message") if "message" in keys else keys.get("phrase")),
        sip=_diagnostic(keys.get("sipdetails")),
        q850=_diagnostic(keys.get("q850details")),
    )


def _diagnostic(value: object) -> Diagnostic | None:
    if not isinstance(value, dict):
        return None
    keys = _folded(cast("object", value))
    return Diagnostic(code=_number(keys.get("code")), message=_string(keys.get("message")))


def _folded(value: object) -> dict[str, Any]:
    """An object's keys in lower case. Of two spellings the service's own (camel case) wins, else the last."""
    if not isinstance(value, dict):
        return {}
    folded: dict[str, Any] = {}
    own: set[str] = set()
    for key, each in cast("dict[str, Any]", value).items():
        low = key.lower()
        if low not in own:
            folded[low] = each
        if key in _OWN_SPELLING:
            folded[low] = each
            own.add(low)
    return folded


_OWN_SPELLING = frozenset(
    "type eventType id source topic subject time eventTime data callConnectionId serverCallId correlationId "
    "operationContext version resultInformation resultInfo reason code subCode message phrase sipDetails "
    "q850Details publicEventType".split()
)


def _number(value: object) -> int | None:
    """A whole number, also written as text or with a zero fraction; anything else is absent."""
    if isinstance(value, str):
        digits = value.strip()
        if not digits.removeprefix("-").isdecimal() or len(digits) > len(str(_BIGGEST)) + 1:
            return None
        value = int(digits)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _BIGGEST:
        return None
    return value


def _string(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def _kind(value: object) -> str:
    kinds: dict[type, str] = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")


def _why(error: Exception) -> str:
    """What is wrong with the bytes, without repeating any of them."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    reason = str(error).removeprefix("JSON is malformed: ")
    return "a number is out of range" if isinstance(error, ValidationError) else reason


_decode_array = Decoder(list[Event]).decode
_decode_any = Decoder().decode
_split = Decoder(list[Raw]).decode
