"""One line that Ringback wrote, as a flat value: the keys that a command reads, of schema 1 and 2 alike."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from msgspec import DecodeError, Struct, ValidationError, convert

from ringback.core.delivery import digest_of
from ringback.core.events import Diagnostic, Event, EventData, Number, Result, Update
from ringback.privacy.redaction import redact
from ringback.privacy.written import visible
from ringback_catalog import event_name, scope_of

if TYPE_CHECKING:
    from collections.abc import Mapping

OUTCOME = "call.outcome"
DUPLICATE = "call.outcome_duplicate"
EVENTS = (
    OUTCOME,
    DUPLICATE,
    "delivery.rejected",
    "callback.rejected",
    "hook.failed",
    *(f"redial.{step}" for step in ("scheduled", "placed", "exhausted", "canceled", "unknown")),
)
"""The events whose lines are read. Every such line has the word ``outcome`` or ``rejected``."""

NEWEST = 2
"""The newest schema that the reader knows."""

FAULTS = (DecodeError, UnicodeDecodeError, RecursionError)


class Why(StrEnum):
    """Why bytes could not be read, in words for a person."""

    NO_LINE = "no JSON object and no line of Ringback's"
    BROKEN = "JSON that is cut or broken"
    WRONG_TYPE = "a value of another type than the documented one"
    CUT = "an outcome without its cause or its disposition"
    TWICE = "text that says a key twice"
    NEWER = "a schema that is newer than this release; install a newer ringback"


class Unread(NamedTuple):
    """Bytes that could not be read, and their place: a line, or a row of an export that is one JSON value."""

    why: Why
    raw: bytes
    number: int
    unit: str = "line"


class Reason(Struct):
    """Why lines could not be read, how many they are, and where the first of these lines stands."""

    why: str
    count: int
    first: str
    """Such as ``line 17 of app.log``."""

    @property
    def text(self) -> str:
        return f"{self.count:,} not read: {self.why}; the first is {self.first}"


class Reasons:
    """Counts the lines that could not be read, by their reason."""

    def __init__(self) -> None:
        self._all: dict[Why, Reason] = {}

    def add(self, unread: Unread, file: str) -> None:
        reason = self._all.get(unread.why)
        if reason is None:
            # A stranger may have chosen the file's name, which may be long as well.
            place = f"{unread.unit} {unread.number} of {visible(redact(file)[-200:])}"
            reason = self._all[unread.why] = Reason(unread.why.value, 0, place)
        reason.count += 1

    def count(self, *whys: Why) -> int:
        """How many lines could not be read for one of these reasons; without a reason, how many for all reasons."""
        return sum(reason.count for why, reason in self._all.items() if not whys or why in whys)

    @property
    def ranked(self) -> list[Reason]:
        """The reasons, the most frequent first."""
        return sorted(self._all.values(), key=lambda reason: -reason.count)


REMEMBERED = 65_536
"""Outcomes that a command surely knows again when their line is repeated; it keeps up to twice as many."""

LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def second_of(text: str) -> float | None:
    """An ISO 8601 time as seconds since 1970, ``None`` for any other text. A time without an offset is in UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _within((time.replace(tzinfo=UTC) if time.tzinfo is None else time).timestamp())


def _within(second: float) -> float | None:
    return second if 0 <= second < LATEST else None


class Seen:
    """Knows an outcome again whose line came before. It remembers the latest ids, in two halves: to forget the older
    half costs nothing.

    A half keeps the hash of an id, which is small. Python keys the hash by the process, so that no sender can make two
    ids with one hash.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._young: set[int] = set()
        self._old: set[int] = set()

    def again(self, name: str) -> bool:
        """Whether the id came before; from now on the id is remembered."""
        known = hash(name)
        if known in self._young:
            return True
        before = known in self._old
        self._young.add(known)
        if len(self._young) >= self._most:
            self._old, self._young = self._young, set()
        return before


class Line(Struct, gc=False, rename={"at_timestamp": "@timestamp"}):
    """The keys that a command reads, under every name that the two schemas and the log set-ups give a key.

    An outcome can be made of the keys of the event; the others are those of the old verdict, of refusals and hooks.
    """

    # The fields stand in the order of a line's keys: msgspec looks for the next key first where the last key ended.
    timestamp: str | float | None = None
    event: str | None = None
    """One of :data:`EVENTS`."""
    schema: int = 1
    """0 for a line of text. Text leaves the carrier's words out, so the catalog cannot judge such a line anew."""
    event_type: str | None = None
    scope: str | None = None
    code: Number | None = None
    subcode: Number | None = None
    category: str | None = None
    cause: str | None = None
    disposition: str | None = None
    retry_class: str | None = None
    retry_action: str | None = None
    retry_after_seconds: float | None = None
    retry_after: dict[str, float] | None = None
    owner: str | None = None
    summary: str | None = None
    event_id: str | None = None
    call_connection_id: str | None = None
    correlation_id: str | None = None
    operation_context: str | None = None
    occurred_at: str | None = None
    result_message: str | None = None
    sip_code: Number | None = None
    sip_reason: str | None = None
    q850_cause: Number | None = None
    q850_reason: str | None = None
    status_details: str | None = None
    outcome_id: str | None = None
    server_call_id: str | None = None
    sip: Diagnostic | None = None
    q850: Diagnostic | None = None
    msg: str | None = None
    message: str | None = None
    time: str | float | None = None
    ts: str | float | None = None
    at_timestamp: str | float | None = None
    asctime: str | float | None = None
    status: Number | None = None
    reason: str | None = None
    suppressed: Number = 0
    hook: str | None = None
    retry_in_seconds: float | None = None

    @property
    def ending(self) -> str | None:
        """The value of :attr:`Outcome.outcome_id`, which a line of schema 2 may leave out."""
        if self.outcome_id is not None:
            return self.outcome_id
        if self.scope == "call":
            leg = self.call_connection_id or self.correlation_id or self.server_call_id
            if leg is not None:
                return f"call:{leg}"
        if self.event_id is None:
            return None
        digest = digest_of(self.source)
        return f"event:{self.event_id}" if digest is None else f"event:{self.event_id}:{digest}"

    @property
    def second(self) -> float | None:
        """The time of the line, in seconds since 1970; the line may have it under any key."""
        stamp = self.timestamp
        if stamp is None:
            stamps = (self.time, self.ts, self.at_timestamp, self.asctime, self.occurred_at)
            stamp = next((known for known in stamps if known is not None), None)
        if stamp is None or isinstance(stamp, str):
            return None if stamp is None else second_of(stamp)
        # Some log set-ups write milliseconds, which as seconds would be far in the future.
        return _within(stamp / 1000 if stamp > 1e11 else float(stamp))

    @property
    def source(self) -> str | None:
        """The event's source, as Call Automation writes the sources of a call's events. A line has none of its own."""
        return None if self.call_connection_id is None else f"calling/callConnections/{self.call_connection_id}"

    def to_event(self) -> Event | None:
        """The event of the line; its type is empty if the line has none. ``None`` for a line without type and code."""
        # In schema 2 a formatter writes `message`, which begins with the line's own name.
        message = self.result_message if self.schema != 1 else self.message or self.result_message
        sip = self.sip or _detail(self.sip_code, self.sip_reason)
        q850 = self.q850 or _detail(self.q850_cause, self.q850_reason)
        given = (self.code, self.subcode, message, sip, q850)
        if self.event_type is None and self.code is None:
            return None
        return Event(
            type=self.event_type or "",
            id=self.event_id,
            source=self.source,
            time=self.occurred_at,
            data=EventData(
                call_connection_id=self.call_connection_id,
                server_call_id=self.server_call_id,
                correlation_id=self.correlation_id,
                operation_context=self.operation_context,
                result_information=None if given == (None,) * len(given) else Result(*given),
                # The event's type says which of the two updates this is.
                media_streaming_update=None if self.status_details is None else Update(self.status_details),
            ),
        )


def _detail(code: int | None, message: str | None) -> Diagnostic | None:
    return None if code is None and message is None else Diagnostic(code, message)


def name_of(row: Mapping[str, Any]) -> str | None:
    """Which of :data:`EVENTS` a flat row is; the app may keep that name under any key."""
    for key in ("event", "msg", "message"):
        if row.get(key) in EVENTS:
            return cast("str", row[key])
    for key, value in row.items():
        # A sender's text under one of Ringback's keys is no name.
        if key not in _KEYS and isinstance(value, str) and value in EVENTS:
            return value
    # The JSON of `explain --json` and the rows of a query have no name.
    return OUTCOME if all(row.get(key) for key in ("event_type", "cause", "disposition")) else None


def line_of(row: Mapping[str, Any], name: str) -> Line | Why:
    """A flat row as a line. The row's numbers may be text, as an export writes numbers."""
    fields = {key: value for key in _KEYS if (value := row.get(key)) not in (None, "", [])}
    try:
        line = convert(fields | {"event": name}, Line, strict=False)
    except (ValidationError, RecursionError):
        return Why.WRONG_TYPE
    if line.schema > NEWEST:
        return Why.NEWER
    if name == OUTCOME and (line.cause is None or line.disposition is None):
        return Why.CUT
    if line.scope is None and line.event_type is not None:
        # The text of schema 1 leaves the scope out.
        line.scope = scope_of(event_name(line.event_type) or None).value
    return line


_KEYS = tuple(Line.__struct_encode_fields__)
