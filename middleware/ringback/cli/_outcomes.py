"""The outcomes in a command's input: log lines, deliveries, events, and results as people write results."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from msgspec.json import Decoder

from ringback.cli._result_forms import event_of, pair_in, result_in
from ringback.cli.reading import FAULTS, OUTCOME, Found, Line, TooLong, Unread, Why, found_in
from ringback.core.events import Event, parse_delivery
from ringback.core.outcome import classify_event
from ringback.exceptions import DeliveryError, RingbackError
from ringback_catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ringback.cli.reading import Reasons
    from ringback.core.outcome import Outcome


class NoInput(RingbackError):
    """Standard input cannot be read, so there is nothing to explain."""


class ReadEvent(NamedTuple):
    """One event, and the log line that the event was made of; ``None`` for an event that stood in the input itself."""

    event: Event
    line: Line | None = None


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
        return [] if event is None else [ReadEvent(event, found)]
    if isinstance(found, Unread):
        if found.why not in (Why.NO_LINE, Why.BROKEN):
            return []
        value = found.raw
    else:
        assert isinstance(found, bytes)
        value = found
    try:
        return [ReadEvent(event) for event in parse_delivery(value, max_body=len(value), max_events=len(value)).events]
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
    return [ReadEvent(event_of(result)) for result in results if result is not None]


def piped(stream: BinaryIO) -> Iterator[Found]:
    """Read standard input line by line. Raises :class:`NoInput` for a stream that cannot be read."""
    try:
        # A person who follows a log would wait for a whole block.
        yield from found_in(iter(lambda: stream.readline(_CHUNK), b""))
    except OSError as error:
        # Without a readable stream the command needs a code.
        raise NoInput("the following arguments are required: CODE; see ringback explain --help") from error
    except TooLong as error:
        raise NoInput(f"standard input: {error}") from error


_CHUNK = 256 * 1024
_decode_any = Decoder().decode
