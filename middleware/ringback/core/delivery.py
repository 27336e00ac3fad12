"""A delivery as frozen values: the request's events, and a fault for each element that is no event. Pure."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from ringback.exceptions import NoRawBytes
from ringback.privacy.redaction import Shown, redact
from ringback_catalog import event_name

BIGGEST = 2**31 - 1
Number = Annotated[int, Meta(ge=-BIGGEST, le=BIGGEST)]
"""A code, subcode, SIP status or Q.850 cause. No such number is larger; a larger one is out of range."""


class Diagnostic(Shown, frozen=True, gc=False, forbid_unknown_fields=True):
    """What a carrier or Session Border Controller reported: a SIP status or a Q.850 cause."""

    code: Number | None = None
    message: str | None = None


class Result(
    Shown,
    frozen=True,
    gc=False,
    # Where the fast decoder meets an unknown key, `read_element` reads the element, in any case of the keys.
    forbid_unknown_fields=True,
    rename={"subcode": "subCode", "sip": "sipDetails", "q850": "q850Details"},
):
    """``resultInformation`` as received. Microsoft rewords the message, which may embed phone numbers."""

    code: Number | None = None
    subcode: Number | None = None
    message: str | None = None
    sip: Diagnostic | None = None
    q850: Diagnostic | None = None


class Update(Shown, frozen=True, gc=False, rename="camel"):
    """The part of ``mediaStreamingUpdate`` or ``transcriptionUpdate`` that says why the event came."""

    media_streaming_status_details: str | None = None
    transcription_status_details: str | None = None


class EventData(Shown, frozen=True, gc=False, rename="camel"):
    """The parts of an event's ``data`` that Ringback reads, whatever the event."""

    call_connection_id: str | None = None
    server_call_id: str | None = None
    correlation_id: str | None = None
    operation_context: str | None = None
    version: str | None = None
    result_information: Result | None = None
    media_streaming_update: Update | None = None
    transcription_update: Update | None = None

    @property
    def is_plain(self) -> bool:
        """Whether neither a carrier's detail nor an update of streaming or transcription is there: nearly always."""
        result = self.result_information
        return (
            (result is None or (result.sip is None and result.q850 is None))
            and self.media_streaming_update is None
            and self.transcription_update is None
        )

    @property
    def status_details(self) -> str | None:
        """Why media streaming or transcription started, stopped or failed, such as ``authenticationFailure``."""
        update = self.media_streaming_update or self.transcription_update
        if update is None:
            return None
        return update.media_streaming_status_details or update.transcription_status_details


class Event(Struct, frozen=True, gc=False, rename={"_origin": "ringback:origin"}):
    """One CloudEvent or Event Grid event as received; :attr:`raw` has the event's own bytes, but not out of a store.

    ``type`` is the full type as received (Event Grid's ``eventType``), ``name`` the short name in the service's
    spelling, ``time`` the text as received.
    """

    type: str
    id: str | None = None
    source: str | None = None
    subject: str | None = None
    time: str | None = None
    data: EventData = EventData()
    _origin: Origin | None = None

    @property
    def name(self) -> str:
        return event_name(self.type)

    @property
    def result(self) -> Result | None:
        return self.data.result_information

    @property
    def occurred_at(self) -> datetime | None:
        """The event's time in UTC, to the microsecond; ``None`` if the event has no time or an invalid one."""
        if self.time is None:
            return None
        try:
            # RFC 3339 allows t and z in lower case.
            time = datetime.fromisoformat(self.time.upper())
            if time.tzinfo is UTC:
                return time
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    @property
    def raw(self) -> bytes:
        """The event's own bytes in the body of the request.

        The route, listeners, waits, and hooks without a store on a disk get events with these bytes. A store on a disk
        keeps no body, and :func:`~ringback.classify` has none: then this raises
        :class:`~ringback.exceptions.NoRawBytes`, an :class:`AttributeError`.
        """
        if self._origin is None:
            raise NoRawBytes(
                f"event {self.name!r} has no raw bytes here: a store keeps no body, and classify() has none; "
                "read event.raw in the route (call_outcomes(request)) or in a listener, and keep there what you need"
            )
        return self._origin.element()

    def __repr__(self) -> str:
        # A repr ends up in logs, and a sender may write a phone number anywhere.
        return redact(f"<Event {self.type} id={self.id}>")


class Origin(Struct, frozen=True, gc=False, eq=False):
    """The body that an event stood in, and the event's index there. Only :meth:`element` splits the body.

    ``sent`` is the body as it came, of the same length, where the decoder cannot read what came.
    """

    body: bytes
    index: int
    sent: bytes | None = None

    def element(self) -> bytes:
        sent = self.body if self.sent is None else self.sent
        if sent[:1] != b"[":
            return sent
        elements = split(self.body)
        if self.sent is None:
            return bytes(elements[self.index])
        start = end = 0
        for element in elements[: self.index + 1]:
            # Between the elements are commas and white space alone.
            start = self.body.index(element, end)
            end = start + len(bytes(element))
        return sent[start:end]


class Fault(Shown, frozen=True):
    """One element of a delivery that is no event: the element's index in the array, and the reason."""

    index: int
    reason: str


class Delivery(Shown, frozen=True, gc=False):
    """The events of one request in order, and a fault for each element that is no event."""

    events: tuple[Event, ...]
    faults: tuple[Fault, ...] = ()


split = Decoder(list[Raw]).decode
"""The elements of a JSON array, each element as its own bytes."""


@lru_cache(maxsize=1024)
def digest_of(source: str | None) -> str | None:
    """16 letters that stand for the source of an event, which may be long, and private; ``None`` for no source."""
    if source is None:
        return None
    # Letters alone: no digits of a digest may be taken for a number.
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:16].translate(_LETTERS)


_LETTERS = str.maketrans("0123456789", "ghijklmnop")
