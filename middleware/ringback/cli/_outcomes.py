"""The outcomes in a command's input: log lines, deliveries, events, and results as people write results."""

from __future__ import annotations

import json
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from msgspec.json import Decoder

from ringback.cli.reading.frames import Found, TooLong, found_in
from ringback.cli.reading.line import FAULTS, OUTCOME, Line, Unread, Why
from ringback.core.elements import reason_in
from ringback.core.events import Diagnostic, Event, EventData, Result, parse_delivery
from ringback.core.outcome import classify_event
from ringback.exceptions import ConfigurationError, DeliveryError
from ringback_catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ringback.cli.reading.line import Reasons
    from ringback.core.outcome import Outcome

_BIGGEST = 2**31 - 1

_NUMBER = "([+-]?[0-9]+)"
_FORMS = (
    # The service writes this into its messages: "Busy here. DiagCode: 486#560486.@"
    re.compile(rf"DiagCode\s*:?\s*{_NUMBER}\s*#\s*{_NUMBER}", re.IGNORECASE),
    # 486/560486, 486#560486, 486:560486, 486,560486, 486 560486
    re.compile(rf"^\s*{_NUMBER}\s*[/#:,\s]\s*{_NUMBER}(?:\.@?)?\s*$"),
    # code 486 subcode 560486, code=486, subCode: 560486
    re.compile(rf"^\W*code[\s:=]*{_NUMBER}\W+sub[_-]?code[\s:=]*{_NUMBER}\W*$", re.IGNORECASE),
)

_RESULT = frozenset({"code", "subcode", "message", "phrase", "sip", "sipdetails", "q850", "q850details"})
_WRAPPERS = ("data", "resultinformation", "resultinfo")
FORMS = (
    "486 560486, 486/560486, 486#560486, 'DiagCode: 486#560486.@', "
    """'{"code": 486, "subCode": 560486}', or the body of a delivery"""
)
"""For messages: the forms that :func:`pair_in`, :func:`result_in` and the reader of standard input take."""


ReadEvent = tuple[Event, Line | None]
"""One event, and the log line that the event was made of; ``None`` for an event that stood in the input itself."""


def catalog_of(overrides: str | None) -> Catalog:
    """The catalog of this release, with the verdicts of the TOML file ``overrides`` if there is such a file."""
    return Catalog.default() if overrides is None else Catalog.default().with_overrides(overrides)


def is_offered() -> bool:
    """Whether standard input is a pipe or a file; at a terminal the command would wait for a person."""
    return sys.stdin is not None and not sys.stdin.isatty()


def outcomes(
    found: Iterable[Found], catalog: Catalog, reasons: Reasons | None = None
) -> Iterator[tuple[Outcome, Line | None]]:
    """The outcomes by this catalog of the events that :func:`events_in` finds, with the line of every event.

    ``reasons`` counts what could not be read and has no events.
    """
    for value in found:
        events = events_in(value)
        if reasons is not None and isinstance(value, Unread) and not events:
            reasons.add(value, "standard input")
        for event, line in events:
            outcome = classify_event(event, catalog)
            if outcome is not None:
                yield outcome, line


def events_in(found: Found) -> Sequence[ReadEvent]:
    """The events in a line of Ringback, a delivery, an event, or a result as JSON or as people write results.

    Empty for any other value. Raises :class:`ConfigurationError` for a result whose code is no number.
    """
    if isinstance(found, Line):
        event = found.to_event() if found.event == OUTCOME else None
        return [] if event is None else [(event, found)]
    if isinstance(found, Unread):
        if found.why not in (Why.NO_LINE, Why.BROKEN):
            return []
        value = found.raw
    else:
        assert isinstance(found, bytes)
        value = found
    try:
        return [(event, None) for event in parse_delivery(value, max_body=len(value), max_events=len(value)).events]
    except DeliveryError:
        return _results_in(value)


def _results_in(value: bytes) -> Sequence[ReadEvent]:
    """Events for bytes without an event: for a result, for a list of results, for a text with a code and a subcode."""
    content: Any = None
    with suppress(*FAULTS):
        content = _decode_any(value)
    if isinstance(content, str) or (content is None and value.lstrip()[:1] not in (b"{", b"[")):
        pair = pair_in(content or value.decode("utf-8", "replace"))
        content = None if pair is None else {"code": pair[0], "subcode": pair[1]}
    several = list(cast("Iterable[Any]", content)) if isinstance(content, list) else [content]
    results = map(result_in, several)
    return [(event_of(result), None) for result in results if result is not None]


def piped(stream: BinaryIO) -> Iterator[Found]:
    """Read standard input line by line. Raises :class:`ConfigurationError` for a stream that cannot be read."""
    try:
        # A person who follows a log would wait for a whole block.
        yield from found_in(iter(lambda: stream.readline(_CHUNK), b""))
    except OSError as error:
        # Without a readable stream the command needs a code.
        raise ConfigurationError("the following arguments are required: CODE; see ringback explain --help") from error
    except TooLong as error:
        raise ConfigurationError(f"standard input: {error}") from error


def pair_in(text: str) -> tuple[str, str] | None:
    """The digits of the code and of the subcode in a text, ``None`` for a text without the two."""
    found = next(filter(None, (form.search(text) for form in _FORMS)), None)
    return None if found is None else (found[1], found[2])


def status(given: str | None) -> int | tuple[int, str] | None:
    """The SIP status of an argument such as ``603``, or ``603 Network Blocked`` with the carrier's words."""
    number, _, words = (given or "").strip().partition(" ")
    sip = whole("sip", number or None)
    return sip if sip is None or not words else (sip, words.strip())


def whole(name: str, value: object) -> int | None:
    """The whole number that ``value`` is or spells, ``None`` for ``None``.

    Raises :class:`ConfigurationError`, which says ``name``, for any other value.
    """
    if value is None:
        return None
    option = {"sip": "--sip 486 ", "q850": "--q850 17 "}.get(name, "")
    remedy = f"write for example: ringback explain {option}486 560486"
    text = value if isinstance(value, str) else json.dumps(value)
    if re.fullmatch(r"[+-]?[0-9]+", text) is None:
        shown = repr(text[:60])
        if re.search("[/#:]", text) is not None:
            raise ConfigurationError(f"{name} {shown} is neither a whole number nor a code with its subcode; {remedy}")
        raise ConfigurationError(f"{name} {shown} is not a whole number; {remedy}")
    # The length comes first: Python refuses to read a number of thousands of digits.
    if len(text) > 12 or abs(int(text)) > _BIGGEST:
        raise ConfigurationError(f"{name} {text[:20]!r} is larger than any code, which is at most {_BIGGEST}; {remedy}")
    return int(text)


def result_in(content: object) -> Result | None:
    """The result in decoded JSON: the result itself, ``resultInformation``, or an event's ``data``.

    ``None`` for any other value, also for an object with keys that no result has. Raises
    :class:`ConfigurationError` for a result whose code is no number.
    """
    given = _folded(content)
    for name in _WRAPPERS:
        if isinstance(given.get(name), dict):
            given = _folded(given[name])
    if not given.keys() & {"code", "subcode"} or given.keys() - _RESULT:
        return None
    message = given.get("message", given.get("phrase"))
    return Result(
        whole("code", given.get("code")),
        whole("subcode", given.get("subcode")),
        message if isinstance(message, str) else None,
        _detail("sip", given.get("sipdetails", given.get("sip"))),
        _detail("q850", given.get("q850details", given.get("q850"))),
    )


def event_of(result: Result, event: str | None = None) -> Event:
    """An event of type ``event`` that reports the result; without a type, the end of some call."""
    return Event(type=event or "", data=EventData(result_information=result))


def _detail(name: str, given: object) -> Diagnostic | None:
    if given is None:
        return None
    keys = _folded(given)
    number, text = reason_in(f"{name}Details", keys.get("code") if isinstance(given, dict) else given)
    message = keys.get("message")
    return Diagnostic(whole(name, number), message if isinstance(message, str) else text)


def _folded(content: object) -> Mapping[str, Any]:
    """The object with its keys in one spelling: ``subCode``, ``SubCode`` and ``sub_code`` are the same key.

    As on the wire, an empty text stands for no value.
    """
    if not isinstance(content, dict):
        return {}
    given = cast("dict[object, Any]", content).items()
    return {str(key).lower().replace("_", ""): value for key, value in given if value != ""}


_CHUNK = 256 * 1024
_decode_any = Decoder().decode
