"""Events of Call Automation as the service sends them: one builder for every type, and a failed call's two events."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ringback.testing.builder import Builder
from ringback.testing.calls import Call
from ringback.testing.deliveries import redelivered
from ringback.testing.wire import adding, diagnosed, identifier, media, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ringback.testing.builder import CloudEvent
    from ringback.testing.wire import Detail


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
    "ParticipantsUpdated", context="none", extra={"participants": _participants, "sequence_number": lambda _: 1}
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
    extra={"transfer_target": lambda call: identifier(call.callee), "transferee": lambda call: identifier(call.caller)},
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
    "ContinuousDtmfRecognitionToneReceived", words=media, extra={"tone": lambda _: "one", "sequence_id": lambda _: 1}
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
    "MediaStreamingFailed",
    400,
    8581,
    media,
    extra=_streaming("mediaStreamingFailed", "initialWebSocketConnectionFailed"),
)
transcription_started = Builder(
    "TranscriptionStarted", words=media, extra=_transcribing("transcriptionStarted", "subscriptionStarted")
)
transcription_updated = Builder(
    "TranscriptionUpdated", words=media, extra=_transcribing("transcriptionUpdated", "transcriptionLocaleUpdated")
)
transcription_stopped = Builder(
    "TranscriptionStopped", words=media, extra=_transcribing("transcriptionStopped", "subscriptionStopped")
)
transcription_failed = Builder(
    "TranscriptionFailed", 500, 8578, media, extra=_transcribing("transcriptionFailed", "streamConnectionUnsuccessful")
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


BUILDERS: Mapping[str, Builder] = {
    builder.name: builder for builder in list(globals().values()) if isinstance(builder, Builder)
}
"""The builder of each event, by the event's name."""
