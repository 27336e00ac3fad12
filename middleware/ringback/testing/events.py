"""Events of Call Automation as the service sends them: one builder for every type, and the bodies of deliveries.

A builder gives a CloudEvent as a plain dictionary with the keys of the recorded deliveries.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec

from ringback.exceptions import ConfigurationError
from ringback.testing.calls import Call
from ringback.testing.wire import (
    Detail,
    adding,
    control,
    diagnosed,
    identifier,
    media,
    refuse_without_code,
    result,
    timestamp,
)
from ringback_catalog import PREFIX

CloudEvent = dict[str, Any]
"""An event as decoded JSON."""

Message = Callable[[int, int, Call], str]
"""Gives the message of a result from its code, its subcode and the call."""


def call_event(
    name: str,
    code: int | None = None,
    subcode: int = 0,
    *,
    message: str | None = None,
    sip: Detail | None = None,
    q850: Detail | None = None,
    call: Call | None = None,
    operation_context: str | None = None,
    event_id: str | None = None,
    time: datetime | str | None = None,
    source: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> CloudEvent:
    """An event of any type, also of an unknown type. Without a code the event has no result.

    ``name`` may leave out the prefix ``Microsoft.Communication.``. ``data`` are keys of the event's ``data``, spelled
    as in the event; they replace keys that the event has by itself. Without ``call`` the event belongs to a new call.
    ``time`` is in UTC or has its zone. Raises :class:`ConfigurationError` for parts of a result without a code.
    """
    call = call or Call()
    content: dict[str, Any] = {**(data or {}), "version": call.version}
    if operation_context is not None:
        content["operationContext"] = operation_context
    if code is not None:
        text = diagnosed(code, subcode) if message is None else message
        content["resultInformation"] = result(code, subcode, text, sip, q850)
    else:
        refuse_without_code(subcode=subcode or None, message=message, sip=sip, q850=q850)
    full_name = name if name.startswith("Microsoft.") else PREFIX + name
    source = f"calling/callConnections/{call.call_connection_id}" if source is None else source
    ids = {
        "callConnectionId": call.call_connection_id,
        "serverCallId": call.server_call_id,
        "correlationId": call.correlation_id,
        "publicEventType": full_name,
    }
    return {
        "id": call.ids() if event_id is None else event_id,
        "source": source,
        "type": full_name,
        "data": content | ids | dict(data or {}),
        "time": timestamp(call.clock() if time is None else time),
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "subject": source,
    }


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds events of one type: ``call_disconnected(486, 560486, call=call)``.

    Without a code the event has ``code`` and ``subcode`` of the builder; with a code, the default subcode is 0.
    ``extra`` are the further keys of this type with their values for a call; a caller gives other values by name, in
    snake case. ``context`` says which operation context the event has: ``"call"`` the call's, ``"action"`` the one
    that the caller gives, ``"none"`` none. Of the keys in ``one_of`` an event has one: a given one replaces the others.
    """

    name: str
    code: int = 200
    subcode: int = 0
    words: Message = control
    context: str = "action"
    one_of: frozenset[str] = frozenset()
    extra: Mapping[str, Callable[[Call], Any]] = field(default_factory=dict[str, Callable[[Call], Any]])
    source: Callable[[Call], str | None] = lambda _: None

    def __call__(
        self,
        code: int | None = None,
        subcode: int | None = None,
        *,
        message: str | None = None,
        sip: Detail | None = None,
        q850: Detail | None = None,
        call: Call | None = None,
        operation_context: str | None = None,
        event_id: str | None = None,
        time: datetime | str | None = None,
        **extra: Any,
    ) -> CloudEvent:
        """An event of this type. ``sip`` and ``q850`` are a code, or a code and its text; ``time`` is in UTC.

        Raises :class:`ConfigurationError` for a key that events of this type do not have.
        """
        call = call or Call()
        if subcode is None:
            subcode = self.subcode if code is None else 0
        code = self.code if code is None else code
        return call_event(
            self.name,
            code,
            subcode,
            message=self.words(code, subcode, call) if message is None else message,
            sip=sip,
            q850=q850,
            call=call,
            operation_context=self._context(call, operation_context),
            event_id=event_id,
            time=time,
            source=self.source(call),
            data=self._data(call, extra),
        )

    def _context(self, call: Call, given: str | None) -> str | None:
        if self.context == "none":
            if given is not None:
                raise ConfigurationError(f"the service puts no operationContext into {self.name}; leave it out")
            return None
        return call.operation_context if given is None and self.context == "call" else given

    def _data(self, call: Call, given: Mapping[str, Any]) -> dict[str, Any]:
        unknown = sorted(given.keys() - self.extra.keys())
        if unknown:
            has = ", ".join(sorted(self.extra)) or "no further ones"
            raise ConfigurationError(f"{self.name} has no {unknown[0]!r}; it has {has}. For any key use call_event()")
        extra = self.extra
        if given.keys() & self.one_of:
            extra = {key: value_of for key, value_of in extra.items() if key in given or key not in self.one_of}
        values = {key: given[key] if key in given else value_of(call) for key, value_of in extra.items()}
        return {_camel(key): value for key, value in values.items() if value is not None}

    def __repr__(self) -> str:
        return f"<builder of {self.name}>"


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def _recording(call: Call) -> str:
    return f"calling/recordings/{call.server_call_id}/{call.recording_id}/RecordingStateChanged"


def _participants(call: Call) -> list[dict[str, Any]]:
    return [{"identifier": identifier(who), "isMuted": False, "isOnHold": False} for who in (call.caller, call.callee)]


def _streaming(status: str, details: str) -> Mapping[str, Callable[[Call], Any]]:
    update = {"contentType": "Audio", "mediaStreamingStatus": status, "mediaStreamingStatusDetails": details}
    return {"media_streaming_update": lambda _: dict(update)}


def _transcribing(status: str, details: str) -> Mapping[str, Callable[[Call], Any]]:
    return {"transcription_update": lambda _: {"transcriptionStatus": status, "transcriptionStatusDetails": details}}


_PARTICIPANT: Mapping[str, Callable[[Call], Any]] = {"participant": lambda call: identifier(call.callee)}
_INVITATION: Mapping[str, Callable[[Call], Any]] = {"invitation_id": lambda call: call.ids()}
_MOVED: Mapping[str, Callable[[Call], Any]] = {**_PARTICIPANT, "from_call": lambda call: call.ids()}
_FAILED_SOURCE: Mapping[str, Callable[[Call], Any]] = {"failed_play_source_index": lambda _: 0}

# Calls that end, or that never begin.
call_disconnected = Builder("CallDisconnected", 200, 560000, diagnosed, "call")
create_call_failed = Builder("CreateCallFailed", 603, 0, diagnosed, "none")
answer_failed = Builder("AnswerFailed", 487, 10004, diagnosed, "call")
connect_failed = Builder("ConnectFailed", 404, 8522, diagnosed, "call")

# Participants and transfers.
call_connected = Builder("CallConnected", context="call")
participants_updated = Builder(
    "ParticipantsUpdated",
    context="none",
    extra={"participants": _participants, "sequence_number": lambda _: 1},
)
add_participant_succeeded = Builder("AddParticipantSucceeded", extra=_PARTICIPANT)
add_participant_failed = Builder("AddParticipantFailed", 408, 10057, adding, extra=_PARTICIPANT)
cancel_add_participant_succeeded = Builder("CancelAddParticipantSucceeded", 487, 5234, adding, extra=_INVITATION)
cancel_add_participant_failed = Builder("CancelAddParticipantFailed", 400, 8583, adding, extra=_INVITATION)
remove_participant_succeeded = Builder("RemoveParticipantSucceeded", extra=_PARTICIPANT)
remove_participant_failed = Builder("RemoveParticipantFailed", 404, 8522, extra=_PARTICIPANT)
move_participant_succeeded = Builder("MoveParticipantSucceeded", extra=_MOVED)
move_participant_failed = Builder("MoveParticipantFailed", 404, 8522, extra=_MOVED)
call_transfer_accepted = Builder(
    "CallTransferAccepted",
    extra={
        "transfer_target": lambda call: identifier(call.callee),
        "transferee": lambda call: identifier(call.caller),
    },
)
call_transfer_failed = Builder("CallTransferFailed", 486, 560486)
hold_failed = Builder("HoldFailed", 500, 9999, media)
# These four have no model in the Python SDK; the SDKs for JavaScript, .NET and Java have one.
hold_audio_started = Builder("HoldAudioStarted", words=media)
hold_audio_paused = Builder("HoldAudioPaused", words=media)
hold_audio_resumed = Builder("HoldAudioResumed", words=media)
hold_audio_completed = Builder("HoldAudioCompleted", words=media)

# Media.
play_started = Builder("PlayStarted", words=media)
play_completed = Builder("PlayCompleted", words=media)
play_failed = Builder("PlayFailed", 400, 8535, media, extra=_FAILED_SOURCE)
play_canceled = Builder("PlayCanceled", 400, 8508, media)
recognize_completed = Builder(
    "RecognizeCompleted",
    200,
    8531,
    media,
    extra={
        "recognition_type": lambda _: "dtmf",
        "dtmf_result": lambda _: {"tones": ["one"]},
        "choice_result": lambda _: None,
        "speech_result": lambda _: None,
    },
    one_of=frozenset({"dtmf_result", "choice_result", "speech_result"}),
)
recognize_failed = Builder("RecognizeFailed", 400, 8510, media, extra={"failed_play_source_index": lambda _: None})
recognize_canceled = Builder("RecognizeCanceled", 400, 8508, media)
continuous_dtmf_recognition_tone_received = Builder(
    "ContinuousDtmfRecognitionToneReceived",
    words=media,
    extra={"tone": lambda _: "one", "sequence_id": lambda _: 1},
)
continuous_dtmf_recognition_tone_failed = Builder("ContinuousDtmfRecognitionToneFailed", 500, 9999, media)
continuous_dtmf_recognition_stopped = Builder("ContinuousDtmfRecognitionStopped", words=media)
send_dtmf_tones_completed = Builder("SendDtmfTonesCompleted", words=media)
send_dtmf_tones_failed = Builder("SendDtmfTonesFailed", 500, 9999, media)

# Recording, streaming, transcription.
recording_state_changed = Builder(
    "RecordingStateChanged",
    context="none",
    extra={
        "event_source": _recording,
        "recording_id": lambda call: call.recording_id,
        "state": lambda _: "active",
        "start_date_time": lambda call: timestamp(call.clock()),
        "recording_kind": lambda _: "azureCommunicationServices",
    },
    source=_recording,
)
start_recording_failed = Builder(
    "StartRecordingFailed", 500, 9999, diagnosed, extra={"recording_id": lambda call: call.recording_id}
)
media_streaming_started = Builder(
    "MediaStreamingStarted", words=media, extra=_streaming("mediaStreamingStarted", "subscriptionStarted")
)
media_streaming_stopped = Builder(
    "MediaStreamingStopped", words=media, extra=_streaming("mediaStreamingStopped", "subscriptionStopped")
)
media_streaming_failed = Builder(
    "MediaStreamingFailed", 500, 8581, media, extra=_streaming("mediaStreamingFailed", "unspecifiedError")
)
transcription_started = Builder(
    "TranscriptionStarted", words=media, extra=_transcribing("transcriptionStarted", "subscriptionStarted")
)
transcription_updated = Builder(
    "TranscriptionUpdated",
    words=media,
    extra=_transcribing("transcriptionUpdated", "transcriptionLocaleUpdated"),
)
transcription_stopped = Builder(
    "TranscriptionStopped", words=media, extra=_transcribing("transcriptionStopped", "subscriptionStopped")
)
transcription_failed = Builder(
    "TranscriptionFailed", 500, 8581, media, extra=_transcribing("transcriptionFailed", "unspecifiedError")
)


def failed_call(
    code: int,
    subcode: int,
    *,
    message: str | None = None,
    sip: Detail | None = None,
    q850: Detail | None = None,
    call: Call | None = None,
    operation_context: str | None = None,
) -> tuple[CloudEvent, CloudEvent]:
    """The two events of a call that could not be created: CallDisconnected and CreateCallFailed.

    The service sends two deliveries in this order, as recorded: CallDisconnected comes first though its time is later,
    and CallDisconnected alone has the operation context.
    """
    call = call or Call()
    at = call.clock()
    shared: dict[str, Any] = {"message": message, "sip": sip, "q850": q850, "call": call}
    first = call_disconnected(
        code, subcode, **shared, operation_context=operation_context, time=at + timedelta(microseconds=600)
    )
    return first, create_call_failed(code, subcode, **shared, time=at)


def rejected_call(*, call: Call | None = None, operation_context: str | None = None) -> tuple[CloudEvent, CloudEvent]:
    """The two events of a call that the callee declined: 603/0, see :func:`failed_call`."""
    return failed_call(603, 0, call=call, operation_context=operation_context)


def redelivered(event: CloudEvent) -> CloudEvent:
    """An equal copy of the event, for a redelivery; a change of the copy leaves the event as it is."""
    return copy.deepcopy(event)


def old_api(event: CloudEvent | None = None, *, version: str | None = "2024-04-15") -> CloudEvent:
    """The event as an older API version sends the event, without a result; by default a CallDisconnected.

    ``version`` ``None`` is an API of 2023, whose ``data`` has neither ``version`` nor ``publicEventType``.
    """
    old = redelivered(event or call_disconnected())
    data = old["data"]
    data.pop("resultInformation", None)
    if version is None:
        for key in ("version", "publicEventType"):
            data.pop(key, None)
    else:
        data["version"] = version
    return old


def batch(*events: CloudEvent | Iterable[CloudEvent]) -> tuple[CloudEvent, ...]:
    """Several events for one delivery, in order. A pair, such as of :func:`failed_call`, counts as its two events.

    Raises :class:`ConfigurationError` for what is no event, such as text or an event within two lists.
    """
    return tuple(event for one_or_more in events for event in _each(one_or_more))


def _each(given: object) -> Iterator[CloudEvent]:
    several = isinstance(given, Iterable) and not isinstance(given, Mapping | str | bytes)
    for event in cast("Iterable[object]", given if several else [given]):
        if not isinstance(event, Mapping):
            raise ConfigurationError(
                f"a {type(event).__name__} is no event; pass what a builder gives, or a decoded JSON object"
            )
        yield cast("CloudEvent", event)


def delivery(*events: CloudEvent | Iterable[CloudEvent]) -> bytes:
    """The body of one POST: a JSON array of the events.

    Event Grid sends a single CloudEvent without an array, and so does this function.
    """
    content = [dict(event) for event in batch(*events)]
    if len(content) == 1 and "type" in content[0] and str(content[0].get("source", "")).startswith("/subscriptions/"):
        return msgspec.json.encode(content[0])
    return msgspec.json.encode(content)


BUILDERS: Mapping[str, Builder] = {
    builder.name: builder for builder in list(globals().values()) if isinstance(builder, Builder)
}
"""The builder of each event, by the event's name."""
