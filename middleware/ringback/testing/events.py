"""Events of Call Automation as the service sends them: one builder for every type, and what may become of one.

A builder gives a CloudEvent as a plain dictionary, key for key like the recorded deliveries.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec

from ringback.exceptions import ConfigurationError
from ringback.testing.calls import Call
from ringback_catalog import PREFIX

CloudEvent = dict[str, Any]
"""An event as decoded JSON."""

Told = int | tuple[int, str]
"""A SIP status or a Q.850 cause: the code, or the code and the carrier's text."""

Message = Callable[[int, int, Call], str]


def phrase(code: int) -> str:
    """The words that go with a SIP status (RFC 3261, section 21)."""
    return _PHRASES.get(code, "The conversation has ended" if 200 <= code < 300 else "Call failed")


def diagnosed(code: int, subcode: int, _: object = None) -> str:
    """The message of a call's end. The tables' 0 survives in it where the result says 200."""
    return f"{phrase(code)}. DiagCode: {0 if 200 <= code < 300 else code}#{subcode}.@"


def _control(code: int, subcode: int, _: Call) -> str:
    return "" if 200 <= code < 300 else diagnosed(code, subcode)


def _media(code: int, subcode: int, _: Call) -> str:
    if 200 <= code < 300:
        return "Action completed successfully."
    return _MEDIA_FAULTS.get(subcode, "Action failed.")


def _adding(code: int, subcode: int, call: Call) -> str:
    if 200 <= code < 300:
        return ""
    return (
        f"addParticipants failed for participant {identifier(call.callee)['rawId']}. "
        f"Underlying reason: {diagnosed(code, subcode)}"
    )


def identifier(who: str) -> dict[str, Any]:
    """A participant from a telephone number, or from a raw id such as ``8:acs:...`` or ``4:+1555...``."""
    number = who.removeprefix("4:")
    if number.startswith("+"):
        return {"rawId": f"4:{number}", "kind": "phoneNumber", "phoneNumber": {"value": number}}
    return {"rawId": who, "kind": "communicationUser", "communicationUser": {"id": who}}


def timestamp(time: datetime | str) -> str:
    """A time as the service writes it: seven digits, which a parser that knows six must be tested with."""
    return time if isinstance(time, str) else f"{time:%Y-%m-%dT%H:%M:%S.%f}7+00:00"


def result(code: int, subcode: int, message: str, sip: Told | None = None, q850: Told | None = None) -> dict[str, Any]:
    """A ``resultInformation``; details that are not given are not in it."""
    told: dict[str, Any] = {"code": code, "subCode": subcode, "message": message}
    for key, given, words in (("sipDetails", sip, _PHRASES), ("q850Details", q850, _Q850)):
        if given is not None:
            number, text = given if isinstance(given, tuple) else (given, words.get(given, ""))
            told[key] = {"code": number, "message": text}
    return told


def call_event(
    name: str,
    code: int | None = None,
    subcode: int = 0,
    *,
    message: str | None = None,
    sip: Told | None = None,
    q850: Told | None = None,
    call: Call | None = None,
    operation_context: str | None = None,
    event_id: str | None = None,
    time: datetime | str | None = None,
    source: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> CloudEvent:
    """An event of any type, also of one that nobody knows yet; without a code it carries no result.

    ``data`` are further keys of the event's ``data``, as they are spelled there. An event of no call
    that is given belongs to a call of its own.
    """
    call = call or Call()
    content: dict[str, Any] = {**(data or {}), "version": call.version}
    if operation_context is not None:
        content["operationContext"] = operation_context
    if code is not None:
        text = diagnosed(code, subcode) if message is None else message
        content["resultInformation"] = result(code, subcode, text, sip, q850)
    full_name = name if name.startswith("Microsoft.") else PREFIX + name
    source = source or f"calling/callConnections/{call.call_connection_id}"
    return {
        "id": event_id or call.ids(),
        "source": source,
        "type": full_name,
        "data": content
        | {
            "callConnectionId": call.call_connection_id,
            "serverCallId": call.server_call_id,
            "correlationId": call.correlation_id,
            "publicEventType": full_name,
        },
        "time": timestamp(time or call.clock()),
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "subject": source,
    }


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds events of one type: ``call_disconnected(486, 560486, call=call)``.

    Without a code the event carries ``code`` and ``subcode`` of the builder; with a code, the subcode
    is 0 unless it is given. ``extra`` are the further keys of this type and their values for a call; give
    others by name, in snake case. ``context`` says whose operation context the event echoes: the
    ``call``'s, that of the ``action``, which is to be given, or ``none``.
    """

    name: str
    code: int = 200
    subcode: int = 0
    words: Message = _control
    context: str = "action"
    extra: Mapping[str, Callable[[Call], Any]] = field(default_factory=dict[str, Callable[[Call], Any]])
    source: Callable[[Call], str | None] = lambda _: None

    def __call__(
        self,
        code: int | None = None,
        subcode: int | None = None,
        *,
        message: str | None = None,
        sip: Told | None = None,
        q850: Told | None = None,
        call: Call | None = None,
        operation_context: str | None = None,
        event_id: str | None = None,
        time: datetime | str | None = None,
        **extra: Any,
    ) -> CloudEvent:
        """The event. ``sip`` and ``q850`` are codes, or a code and its text; ``time`` is in UTC.

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
        made = {key: given[key] if key in given else value(call) for key, value in self.extra.items()}
        return {_camel(key): value for key, value in made.items() if value is not None}

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

# Ends of calls, and calls that never began.
call_disconnected = Builder("CallDisconnected", 200, 560000, diagnosed, "call")
create_call_failed = Builder("CreateCallFailed", 603, 0, diagnosed, "none")
answer_failed = Builder("AnswerFailed", 487, 10004, diagnosed, "call")
connect_failed = Builder("ConnectFailed", 404, 8522, diagnosed, "call")

# What goes on in a call.
call_connected = Builder("CallConnected", context="call")
participants_updated = Builder(
    "ParticipantsUpdated",
    context="none",
    extra={"participants": _participants, "sequence_number": lambda _: 1},
)
add_participant_succeeded = Builder("AddParticipantSucceeded", extra=_PARTICIPANT)
add_participant_failed = Builder("AddParticipantFailed", 408, 10057, _adding, extra=_PARTICIPANT)
cancel_add_participant_succeeded = Builder("CancelAddParticipantSucceeded", 487, 5234, _adding, extra=_INVITATION)
cancel_add_participant_failed = Builder("CancelAddParticipantFailed", 400, 8583, _adding, extra=_INVITATION)
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
hold_failed = Builder("HoldFailed", 500, 9999, _media)

# Media.
play_started = Builder("PlayStarted", words=_media)
play_completed = Builder("PlayCompleted", words=_media)
play_failed = Builder("PlayFailed", 400, 8535, _media, extra=_FAILED_SOURCE)
play_canceled = Builder("PlayCanceled", 400, 8508, _media)
recognize_completed = Builder(
    "RecognizeCompleted",
    200,
    8531,
    _media,
    extra={
        "recognition_type": lambda _: "dtmf",
        "dtmf_result": lambda _: {"tones": ["one"]},
        "choice_result": lambda _: None,
        "speech_result": lambda _: None,
    },
)
recognize_failed = Builder("RecognizeFailed", 400, 8510, _media, extra={"failed_play_source_index": lambda _: None})
recognize_canceled = Builder("RecognizeCanceled", 400, 8508, _media)
continuous_dtmf_recognition_tone_received = Builder(
    "ContinuousDtmfRecognitionToneReceived",
    words=_media,
    extra={"tone": lambda _: "one", "sequence_id": lambda _: 1},
)
continuous_dtmf_recognition_tone_failed = Builder("ContinuousDtmfRecognitionToneFailed", 500, 9999, _media)
continuous_dtmf_recognition_stopped = Builder("ContinuousDtmfRecognitionStopped", words=_media)
send_dtmf_tones_completed = Builder("SendDtmfTonesCompleted", words=_media)
send_dtmf_tones_failed = Builder("SendDtmfTonesFailed", 500, 9999, _media)

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
    "MediaStreamingStarted", words=_media, extra=_streaming("mediaStreamingStarted", "subscriptionStarted")
)
media_streaming_stopped = Builder(
    "MediaStreamingStopped", words=_media, extra=_streaming("mediaStreamingStopped", "subscriptionStopped")
)
media_streaming_failed = Builder(
    "MediaStreamingFailed", 500, 8581, _media, extra=_streaming("mediaStreamingFailed", "unspecifiedError")
)
transcription_started = Builder(
    "TranscriptionStarted", words=_media, extra=_transcribing("transcriptionStarted", "subscriptionStarted")
)
transcription_updated = Builder(
    "TranscriptionUpdated", words=_media, extra=_transcribing("transcriptionUpdated", "transcriptionLocaleUpdated")
)
transcription_stopped = Builder(
    "TranscriptionStopped", words=_media, extra=_transcribing("transcriptionStopped", "subscriptionStopped")
)
transcription_failed = Builder(
    "TranscriptionFailed", 500, 8581, _media, extra=_transcribing("transcriptionFailed", "unspecifiedError")
)


def failed_call(
    code: int,
    subcode: int,
    *,
    message: str | None = None,
    sip: Told | None = None,
    q850: Told | None = None,
    call: Call | None = None,
    operation_context: str | None = None,
) -> tuple[CloudEvent, CloudEvent]:
    """The two events of one call that could not be created, in the order in which they were recorded.

    Two deliveries: CallDisconnected comes first though its time is the later one, and only it
    carries the operation context.
    """
    call = call or Call()
    at = call.clock()
    told: dict[str, Any] = {"message": message, "sip": sip, "q850": q850, "call": call}
    first = call_disconnected(
        code, subcode, **told, operation_context=operation_context, time=at + timedelta(microseconds=600)
    )
    return first, create_call_failed(code, subcode, **told, time=at)


def rejected_call(*, call: Call | None = None, operation_context: str | None = None) -> tuple[CloudEvent, CloudEvent]:
    """The two events of a call that the callee declined: 603/0, see :func:`failed_call`."""
    return failed_call(603, 0, call=call, operation_context=operation_context)


def redelivered(event: CloudEvent) -> CloudEvent:
    """The same event once more, as a delivery of its own: equal to the first, and independent of it."""
    return copy.deepcopy(event)


def old_api(event: CloudEvent | None = None, *, version: str | None = "2024-04-15") -> CloudEvent:
    """The event as an older API version sends it, without a result; a CallDisconnected if none is given.

    ``version`` ``None`` is 2023: then ``data`` names neither its version nor its type.
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
    """Several events for one delivery, in order; pairs may be given as they are."""
    flat: list[CloudEvent] = []
    for given in events:
        if isinstance(given, dict):
            flat.append(cast("CloudEvent", given))
        else:
            flat.extend(given)
    return tuple(flat)


def delivery(*events: CloudEvent | Iterable[CloudEvent]) -> bytes:
    """The body of one POST: a JSON array, of one event unless several are given.

    A single CloudEvent of Event Grid comes as it is, without an array around it.
    """
    content = batch(*events)
    if len(content) == 1 and "type" in content[0] and str(content[0].get("source", "")).startswith("/subscriptions/"):
        return msgspec.json.encode(content[0])
    return msgspec.json.encode(content)


_PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    410: "Gone",
    429: "Too Many Requests",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    484: "Address Incomplete",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
}

# ITU-T Q.850, the causes that calls to people end with.
_Q850 = {
    1: "Unallocated (unassigned) number",
    16: "Normal call clearing",
    17: "User busy",
    18: "No user responding",
    19: "No answer from user (user alerted)",
    21: "Call rejected",
    27: "Destination out of order",
    28: "Invalid number format (address incomplete)",
    31: "Normal, unspecified",
    34: "No circuit/channel available",
    38: "Network out of order",
    41: "Temporary failure",
    102: "Recovery on timer expiry",
}

_MEDIA_FAULTS = {
    8508: "Action failed, the operation was canceled.",
    8510: "Action failed, initial silence timeout reached.",
    8511: "Action failed, encountered failure while trying to play the prompt.",
    8532: "Action failed, inter-digit silence timeout reached.",
    8535: "Action failed, file format is invalid.",
    9999: "Unknown internal server error.",
}
