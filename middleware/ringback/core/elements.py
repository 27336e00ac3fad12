"""One element of a delivery, read key by key: an event, or the reason why the element is none. Pure.

:func:`read_element` reads what senders may write otherwise than Microsoft does in the recorded deliveries: keys in
another case or of the previews, ``data`` as JSON text or in base64, a carrier's detail or a number as text. A wrong
type in an event of Call Automation is a :class:`Fault`, never an absent value; an empty text stands for no value. Other
events may hold whatever they like.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, cast

from msgspec import DecodeError, Raw, ValidationError
from msgspec.json import Decoder

from ringback.core.delivery import BIGGEST, Diagnostic, Event, EventData, Fault, Result, Update
from ringback_catalog import EVENTS, event_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ringback.core.delivery import Origin

    Complain = Callable[[str], None]
    """The reader calls this with a reason for each part of a wrong type: it raises, or does nothing."""


def read_element(element: bytes, index: int, origin: Origin) -> Event | Fault:
    """The event in these bytes; a :class:`Fault` with ``index`` where the bytes are no event."""
    try:
        return _event(element, index, origin)
    except _WrongType as error:
        return Fault(index, str(error))
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Fault(index, f"not JSON: {why(error)}")


def _event(element: bytes, index: int, origin: Origin) -> Event | Fault:
    content = _read(element)
    if not isinstance(content, dict):
        return Fault(index, f"{_kind(content)}, not an object; send a CloudEvent")
    keys = _folded(cast("object", content))
    if not keys.keys() & {"type", "eventtype", "data", "data_base64"} and isinstance(keys.get("publiceventtype"), str):
        # Some relays forward an event's data alone, which names the event's type.
        keys = dict[str, Any](type=keys["publiceventtype"], data=content)
    event_type = keys.get("type") if isinstance(keys.get("type"), str) else keys.get("eventtype")
    if not isinstance(event_type, str) or not event_type.strip():
        return Fault(index, "no type (CloudEvents) and no eventType (Event Grid); send one of the two schemas")
    time = keys.get("time") if "time" in keys else keys.get("eventtime")
    return Event(
        type=event_type,
        id=_filled(keys.get("id")),
        source=_string(keys.get("source") if "source" in keys else keys.get("topic")),
        subject=_string(keys.get("subject")),
        time=_string(time),
        data=_data(keys, event_name(event_type)),
        _origin=origin,
    )


def content_of(element: bytes) -> dict[str, Any]:
    """The ``data`` of an event's bytes, with keys in lower case; empty where ``data`` is no object."""
    return _folded(_content(_folded(_read(without_lone_halves(element))), _ignore))


def why(error: Exception) -> str:
    """What the decoder found wrong with the bytes; the text repeats none of the bytes."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError) or "UTF-8" in str(error):
        # msgspec raises the first before its version 0.23, and a DecodeError from then on.
        return "not UTF-8"
    reason = str(error).removeprefix("JSON is malformed: ")
    return "a number is out of range" if isinstance(error, ValidationError) else reason


def without_lone_halves(content: bytes) -> bytes:
    """The body with U+FFFD for each escape of one half of a surrogate pair, which stands for no character.

    JSON's grammar has such an escape, and a text that a sender cuts within an emoji ends with one. The decoder takes
    the escape for a fault of the whole body.
    """
    return _HALVES.sub(lambda found: found[0] if found["pair"] else rb"\%bufffd" % found["escaped"], content)


# The first backslash of a run, the escaped ones after it, and behind an odd number of them a whole pair or a half. So
# the function is called for surrogates alone: a body of nothing but other escapes would hold the loop for too long.
_HALVES = re.compile(
    rb"\\(?<!\\\\)(?P<escaped>(?:\\\\)*)u[dD]"
    rb"(?:(?P<pair>[89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|[89a-fA-F][0-9a-fA-F]{2})"
)


class _WrongType(Exception):
    """A part of an event has the wrong type. The text names the part and repeats nothing of its value."""


def _refuse(reason: str) -> None:
    raise _WrongType(reason)


def _ignore(_: str) -> None:
    """Accept whatever stands there: only the events of Call Automation have expected types."""


def _data(keys: dict[str, Any], name: str) -> EventData:
    wrong = _refuse if name in EVENTS else _ignore
    data = _folded(_content(keys, wrong))
    return EventData(
        call_connection_id=_filled(data.get("callconnectionid")),
        server_call_id=_filled(data.get("servercallid")),
        correlation_id=_filled(data.get("correlationid")),
        operation_context=_filled(data.get("operationcontext")),
        version=_string(data.get("version")),
        result_information=_result(_reported(data, name, wrong), wrong),
        media_streaming_update=_update("mediaStreamingUpdate", data, wrong),
        transcription_update=_update("transcriptionUpdate", data, wrong),
    )


def _content(keys: dict[str, Any], wrong: Complain) -> object:
    """``data``: an object, the JSON text of an object (Event Grid), or base64 (CloudEvents 1.0, JSON format 3.1)."""
    value = keys.get("data")
    if value is not None:
        return _object("data", value, wrong)
    encoded = keys.get("data_base64")
    if encoded is None:
        return None
    try:
        text = base64.b64decode(encoded, validate=True)
    except (binascii.Error, TypeError, ValueError):
        wrong("data_base64 is not base64")
        return None
    return _object("data_base64", text, wrong)


def _object(name: str, value: object, wrong: Complain) -> object:
    """The value if it is an object, or the object whose JSON text it is."""
    if isinstance(value, dict):
        return cast("object", value)
    if isinstance(value, str | bytes):
        try:
            parsed = _read(value)
        except (DecodeError, UnicodeError, RecursionError):
            parsed = None
        if isinstance(parsed, dict):
            return cast("object", parsed)
        if not value.strip():
            return None
        wrong(f"{name} is text that is not the JSON of an object")
    elif value is not None:
        wrong(f"{name} is {_kind(value)}, not an object")
    return None


def _reported(data: dict[str, Any], name: str, wrong: Complain) -> object:
    """The result of an event, under today's key, the key of the previews of 2022, or that of Event Grid's CallEnded."""
    for key, spelled in (("resultinformation", "resultInformation"), ("resultinfo", "resultInfo")):
        found = _object(spelled, data.get(key), wrong)
        if found is not None:
            return found
    # Events other than CallEnded may hold a word under "reason".
    return _object("reason", data.get("reason"), wrong if name == "CallEnded" else _ignore)


def _result(value: object, wrong: Complain) -> Result | None:
    if value is None:
        return None
    keys = _folded(value)
    return Result(
        code=_number("code", keys.get("code"), wrong),
        subcode=_number("subCode", keys.get("subcode"), wrong),
        message=_string(keys.get("message") if "message" in keys else keys.get("phrase")),
        sip=_diagnostic("sipDetails", _first(keys, _SIP), wrong),
        q850=_diagnostic("q850Details", _first(keys, _Q850), wrong),
    )


# Keys of a carrier's detail: an object with a code; the keys of Microsoft's drafts hold the code itself.
_SIP = ("sipdetails", "sipcode")
_Q850 = ("q850details", "q850cause", "q850code")


def _diagnostic(name: str, value: object, wrong: Complain) -> Diagnostic | None:
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        value = _object(name, value, wrong)
    if not isinstance(value, dict):
        number, text = reason_in(name, value)
        code = _number(name, number, wrong)
        return None if code is None else Diagnostic(code, text)
    keys = _folded(cast("object", value))
    number, text = reason_in(name, _first(keys, ("code", *_SIP, *_Q850)))
    message = _string(_first(keys, ("message", "sipmessage", "q850message")))
    return Diagnostic(_number(f"{name}.code", number, wrong), text if message is None else message)


def reason_in(name: str, value: object) -> tuple[object, str | None]:
    """The number and the text of a detail that is one text, as SIP writes it: ``603 Decline``, ``Q.850;cause=21``."""
    found = _REASONS[name].match(value) if isinstance(value, str) else None
    return (value, None) if found is None else (found[1] or found[2], found.string.strip())


# A status line (RFC 3261, section 7.2), or a value of the header Reason (RFC 3326), which may have several values.
_REASONS = {
    name: re.compile(
        rf"\s*(?:SIP/2\.0\s+)?(\d{{1,3}})[\s:;,-]+[^\d\s]"
        rf"|(?:.*,)?\s*{protocol}\s*;[^,]*?\bcause\s*=\s*(\d{{1,3}})\b",
        re.ASCII | re.IGNORECASE | re.DOTALL,
    )
    for name, protocol in (("sipDetails", "SIP"), ("q850Details", r"Q\.?850"))
}


def _first(keys: dict[str, Any], names: Iterable[str]) -> object:
    return next((keys[name] for name in names if keys.get(name) is not None), None)


def _update(name: str, data: dict[str, Any], wrong: Complain) -> Update | None:
    value = _object(name, data.get(name.lower()), wrong)
    if value is None:
        return None
    keys = _folded(value)
    return Update(
        media_streaming_status_details=_string(keys.get("mediastreamingstatusdetails")),
        transcription_status_details=_string(keys.get("transcriptionstatusdetails")),
    )


def _folded(value: object) -> dict[str, Any]:
    """The members that Ringback reads, by keys in lower case. Of two spellings the service's wins, else the last."""
    if not isinstance(value, dict):
        return {}
    folded: dict[str, Raw] = {}
    own: set[str] = set()
    for key, member in cast("dict[str, Raw]", value).items():
        low = key.lower()
        if low in _WANTED and (low not in own or key in _OWN_SPELLING):
            folded[low] = member
        if key in _OWN_SPELLING:
            own.add(low)
    return {low: _read(bytes(member)) for low, member in folded.items()}


_OWN_SPELLING = frozenset(
    "type eventType id source topic subject time eventTime data data_base64 callConnectionId serverCallId "
    "correlationId operationContext version resultInformation resultInfo reason code subCode message phrase "
    "sipDetails sipCode sipMessage q850Details q850Cause q850Code q850Message publicEventType mediaStreamingUpdate "
    "transcriptionUpdate mediaStreamingStatusDetails transcriptionStatusDetails validationCode".split()
)
_WANTED = frozenset(map(str.lower, _OWN_SPELLING))


def _number(name: str, value: object, wrong: Complain) -> int | None:
    """A whole number, also one that the sender wrote as text or with a zero fraction."""
    number: object = value
    if isinstance(value, str):
        digits = value.strip()
        if not digits:
            return None
        if digits.removeprefix("-").isdecimal():
            # Python refuses to read a text of thousands of digits.
            number = int(digits) if len(digits) <= len(str(BIGGEST)) + 1 else BIGGEST + 1
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, int) and not isinstance(number, bool):
        if abs(number) <= BIGGEST:
            return number
        wrong(f"{name} is a number out of range")
    elif number is not None:
        wrong(f"{name} is {_kind(number)}, not a whole number")
    return None


def _string(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def _filled(value: object) -> str | None:
    """A text that names something. Serializers write an empty text for no value, and many calls would share it."""
    return _string(value) or None


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "a JSON number")


_KINDS: dict[type, str] = {
    list: "a JSON array",
    dict: "a JSON object",
    str: "a JSON string",
    bool: "a JSON boolean",
    type(None): "a JSON null",
}


def _read(written: bytes | str) -> object:
    """A JSON value whose members and elements stay unread.

    To make lists of a megabyte of brackets would hold the event loop for a fifth of a second.
    """
    if written.lstrip()[:1] in (b"[", "["):
        return []
    return _decode(written)


_decode = Decoder(dict[str, Raw] | str | int | float | bool | None).decode
