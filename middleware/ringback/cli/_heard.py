"""``ringback explain`` without a code: every outcome in a payload or in log lines from standard input."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from ringback.cli._page import page
from ringback.events import Diagnostic, Event, EventData, Number, Result, parse_delivery
from ringback.exceptions import DeliveryError, RingbackError
from ringback.outcome import classify_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ringback.outcome import Outcome
    from ringback_catalog import Catalog

MOST = 64 * 1024 * 1024
"""Bytes of one value that goes over several lines. A value a line is read as it comes, without end."""


class NothingHeard(RingbackError):
    """Standard input that holds nothing to explain."""


class _Line(Struct, gc=False):
    """The keys of a ``call.outcome`` line that an outcome is made of; the rest is the catalog's."""

    event_type: str
    event: str | None = None
    msg: str | None = None
    event_id: str | None = None
    code: Number | None = None
    subcode: Number | None = None
    call_connection_id: str | None = None
    server_call_id: str | None = None
    correlation_id: str | None = None
    operation_context: str | None = None
    occurred_at: str | None = None
    message: str | None = None
    sip: Diagnostic | None = None
    q850: Diagnostic | None = None


def is_offered() -> bool:
    """Whether something may come on standard input; a person at a terminal would wait for nothing."""
    return sys.stdin is not None and not sys.stdin.isatty()


def explain(stream: BinaryIO, catalog: Catalog, *, as_json: bool, width: int, say: Callable[[str], None]) -> int:
    """Explain each outcome as it is read: a page each, or a JSON object a line."""
    found = False
    for outcome in outcomes(_values(stream), catalog):
        if as_json:
            say(json.dumps(outcome.to_dict()))
        else:
            told = outcome.to_dict()
            ids = "  ".join(str(told[name]) for name in ("outcome_id", "occurred_at") if told[name] is not None)
            rule = ["", "-" * width, ""] if found else []
            say("\n".join([*rule, ids, *page(outcome, catalog, width)]))
        # Somebody may be following a log that goes on.
        sys.stdout.flush()
        found = True
    if not found:
        raise NothingHeard(
            "standard input holds no outcome; give it a delivery's body (a JSON array of CloudEvents, or one) or "
            "call.outcome lines in JSON, or name a code: ringback explain 486 560486"
        )
    return 0


def outcomes(values: Iterable[bytes], catalog: Catalog) -> Iterator[Outcome]:
    """The outcomes in these JSON values, each a delivery, an event or a log line; anything else has none."""
    for value in values:
        for event in _events(value):
            outcome = classify_event(event, catalog)
            if outcome is not None:
                yield outcome


def _events(value: bytes) -> Iterable[Event]:
    if b'event_type"' in value:
        with suppress(*_FAULTS):
            return _logged(value)
        with suppress(*_FAULTS):
            # Docker Compose and syslog put words before a line.
            return _logged(value[max(0, value.find(b"{")) :])
    try:
        return parse_delivery(value, max_body=len(value), max_events=len(value)).events
    except DeliveryError:
        return []


def _logged(value: bytes) -> Iterable[Event]:
    line: _Line | list[_Line] = _decode_line(value)
    lines = line if isinstance(line, list) else [line]
    # Its outcome was told before, and it does not repeat the code.
    return [_event(each) for each in lines if "call.outcome_duplicate" not in (each.event, each.msg, each.message)]


def _event(line: _Line) -> Event:
    given = (line.code, line.subcode, line.message, line.sip, line.q850)
    return Event(
        type=line.event_type,
        id=line.event_id,
        time=line.occurred_at,
        data=EventData(
            call_connection_id=line.call_connection_id,
            server_call_id=line.server_call_id,
            correlation_id=line.correlation_id,
            operation_context=line.operation_context,
            result_information=Result(*given) if any(each is not None for each in given) else None,
        ),
    )


def _values(stream: BinaryIO) -> Iterator[bytes]:
    """One JSON value a line if the first line that is none of blanks is one or is text; else values as they stand."""
    try:
        first = b""
        while not first.strip():
            first = stream.readline(MOST)
            if not first:
                return
        if first.lstrip()[:1] in (b"{", b"[") and not _is_json(first):
            rest = stream.read(MOST + 1)
            if len(rest) > MOST:
                raise NothingHeard(f"standard input is longer than {MOST} bytes; write each JSON value on one line")
            yield from _spread(first + rest)
            return
        yield from chain([first], iter(lambda: stream.readline(MOST), b""))
    except OSError as error:
        # As good as none: then a code has to be given.
        raise NothingHeard("the following arguments are required: CODE; see ringback explain --help") from error


def _spread(content: bytes) -> Iterator[bytes]:
    """Values that go over several lines, as ``jq`` writes them; a line that begins none is left out."""
    text = content.decode("utf-8", "replace")
    at = 0
    while at < len(text):
        try:
            _, end = _decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at = text.find("\n", at) + 1 or len(text)
            continue
        yield text[at:end].encode("utf-8", "replace")
        at = end
        while text[at : at + 1].isspace():
            at += 1


def _is_json(line: bytes) -> bool:
    try:
        _decode_any(line)
    except _FAULTS:
        return False
    return True


_FAULTS = (DecodeError, UnicodeDecodeError, RecursionError)
_decode_line = Decoder(_Line | list[_Line]).decode
_decode_any = Decoder().decode
_decoder = json.JSONDecoder()
