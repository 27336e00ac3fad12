"""Every operation of the service: its route, what answers it, the client's methods that ask for it, what follows.

Routing walks this table, and the table of methods in docs/simulator.md is made of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ringback.simulator import calling, identities, media, participants, recording, streaming

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringback.simulator.switchboard import Switchboard
    from ringback.simulator.turns import Asked, Turn


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. ``path`` is a regular expression for the path of a request, ``status`` the answer to a good one.

    ``methods`` are those of CallAutomationClient and CallConnectionClient that send the request. ``events`` follow in
    this order if nothing goes wrong; ``otherwise`` names those that follow in other cases.
    """

    verb: str
    path: re.Pattern[str]
    act: Callable[[Switchboard, Asked], Turn]
    status: int
    methods: tuple[str, ...]
    events: tuple[str, ...] = ()
    otherwise: str = ""


_CALLS = "/calling/callConnections"
_ONE = rf"{_CALLS}/(?P<call_id>[^/:]+)"
_PEOPLE = f"{_ONE}/participants"
_RECORDINGS = "/calling/recordings"
_RECORDING = rf"{_RECORDINGS}/(?P<recording_id>[^/:]+)"
_IDENTITY = r"/identities/(?P<raw_id>[^/]+)"

_BEGUN = "CallConnected ParticipantsUpdated"
_STREAMS = "with a stream that is to start: MediaStreamingStarted or TranscriptionStarted"

# Verb, path, act, status, methods, events, other events. The first row that fits a request decides.
_ROWS: tuple[tuple[str, str, Callable[[Switchboard, Asked], Turn], int, str, str, str], ...] = (
    ("POST", _CALLS, calling.create, 201, "create_call create_group_call", _BEGUN,
     f"{_STREAMS}; CallDisconnected and CreateCallFailed, as the number's scenario says"),
    ("POST", f"{_CALLS}:answer", calling.answer, 200, "answer_call", _BEGUN,
     f"{_STREAMS}; CallDisconnected and AnswerFailed, as the caller's scenario says"),
    ("POST", f"{_CALLS}:reject", calling.reject, 204, "reject_call", "", ""),
    ("POST", f"{_CALLS}:redirect", calling.redirect, 204, "redirect_call", "",
     "IncomingCall by Event Grid, to a user"),
    ("POST", f"{_CALLS}:connect", calling.connect, 200, "connect_call", _BEGUN,
     f"{_STREAMS}; CallDisconnected and ConnectFailed, as the scenario says"),
    ("GET", _ONE, calling.properties, 200, "get_call_properties", "", ""),
    ("DELETE", _ONE, calling.end, 204, "hang_up", "CallDisconnected",
     "before, one event each for what plays, listens, streams, is recorded"),
    ("POST", f"{_ONE}:(?P<action>terminate)", calling.end, 204, "hang_up", "CallDisconnected", "the same"),
    ("POST", f"{_ONE}:transferToParticipant", calling.transfer, 202, "transfer_call_to_participant",
     "CallTransferAccepted CallDisconnected CallDisconnected",
     "of several people, CallTransferAccepted, ParticipantsUpdated; CallTransferFailed"),
    ("GET", _PEOPLE, participants.listed, 200, "list_participants", "", ""),
    ("GET", f"{_PEOPLE}/(?P<raw_id>[^/]+)", participants.one, 200, "get_participant", "", ""),
    ("POST", f"{_PEOPLE}:add", participants.add, 202, "add_participant",
     "AddParticipantSucceeded ParticipantsUpdated", "AddParticipantFailed"),
    ("POST", f"{_PEOPLE}:cancelAddParticipant", participants.cancel_add, 202, "cancel_add_participant_operation",
     "CancelAddParticipantSucceeded", "CancelAddParticipantFailed"),
    ("POST", f"{_PEOPLE}:remove", participants.remove, 202, "remove_participant",
     "RemoveParticipantSucceeded ParticipantsUpdated", "RemoveParticipantFailed"),
    ("POST", f"{_PEOPLE}:mute", participants.mute, 200, "mute_participant", "ParticipantsUpdated", ""),
    ("POST", f"{_PEOPLE}:moveHere", participants.move, 202, "move_participants",
     "MoveParticipantSucceeded ParticipantsUpdated", "in the other call, ParticipantsUpdated; MoveParticipantFailed"),
    ("POST", f"{_ONE}:hold", participants.hold, 200, "hold", "ParticipantsUpdated",
     "before, with a play source, HoldAudioStarted; HoldFailed"),
    ("POST", f"{_ONE}:unhold", participants.unhold, 200, "unhold", "ParticipantsUpdated",
     "before, with a play source, HoldAudioCompleted; HoldFailed"),
    ("POST", f"{_ONE}:interruptAudioAndAnnounce", participants.announce, 202, "", "PlayStarted PlayCompleted", ""),
    ("POST", f"{_ONE}:play", media.play, 202, "play_media play_media_to_all", "PlayStarted PlayCompleted",
     "PlayFailed, PlayCanceled; before API version 2024-06-15, no PlayStarted"),
    ("POST", f"{_ONE}:recognize", media.recognize, 202, "start_recognizing_media", "RecognizeCompleted",
     "RecognizeFailed, RecognizeCanceled"),
    ("POST", f"{_ONE}:cancelAllMediaOperations", media.cancel, 202, "cancel_all_media_operations", "",
     "PlayCanceled, RecognizeCanceled of what plays, listens and waits"),
    ("POST", f"{_ONE}:sendDtmfTones", media.send_tones, 202, "send_dtmf_tones", "SendDtmfTonesCompleted", ""),
    ("POST", f"{_ONE}:(?P<action>start)ContinuousDtmfRecognition", media.listen, 200,
     "start_continuous_dtmf_recognition", "", "ContinuousDtmfRecognitionToneReceived for each of the scenario's tones"),
    ("POST", f"{_ONE}:(?P<action>stop)ContinuousDtmfRecognition", media.listen, 200,
     "stop_continuous_dtmf_recognition", "ContinuousDtmfRecognitionStopped", ""),
    ("POST", f"{_ONE}:(?P<action>startMediaStreaming)", streaming.stream, 202, "start_media_streaming",
     "MediaStreamingStarted", "MediaStreamingFailed"),
    ("POST", f"{_ONE}:(?P<action>stopMediaStreaming)", streaming.stream, 202, "stop_media_streaming",
     "MediaStreamingStopped", "MediaStreamingFailed"),
    ("POST", f"{_ONE}:(?P<action>startTranscription)", streaming.stream, 202, "start_transcription",
     "TranscriptionStarted", "TranscriptionFailed"),
    ("POST", f"{_ONE}:(?P<action>stopTranscription)", streaming.stream, 202, "stop_transcription",
     "TranscriptionStopped", "TranscriptionFailed"),
    ("POST", f"{_ONE}:(?P<action>updateTranscription)", streaming.stream, 202, "update_transcription",
     "TranscriptionUpdated", "TranscriptionFailed"),
    ("POST", _RECORDINGS, recording.start, 200, "start_recording", "RecordingStateChanged",
     "without a recording_state_callback_url, none of a recording's events"),
    ("GET", _RECORDING, recording.state, 200, "get_recording_properties", "", ""),
    ("DELETE", _RECORDING, recording.stop, 204, "stop_recording", "RecordingStateChanged",
     "RecordingFileStatusUpdated by Event Grid"),
    ("POST", f"{_RECORDING}:(?P<action>pause)", recording.pause, 202, "pause_recording", "RecordingStateChanged", ""),
    ("POST", f"{_RECORDING}:(?P<action>resume)", recording.pause, 202, "resume_recording", "RecordingStateChanged", ""),
    ("POST", "/identities", identities.create, 201, "", "", ""),
    ("DELETE", _IDENTITY, identities.delete, 204, "", "", ""),
    ("POST", f"{_IDENTITY}/:issueAccessToken", identities.issue, 200, "", "", ""),
    ("POST", f"{_IDENTITY}/:revokeAccessTokens", identities.revoke, 204, "", "", ""),
)  # fmt: skip

OPERATIONS = tuple(
    Operation(verb, re.compile(path), act, status, tuple(methods.split()), tuple(events.split()), otherwise)
    for verb, path, act, status, methods, events, otherwise in _ROWS
)

_HOSTS = "raises ValueError: the client insists on the hosts of Microsoft's service; see Recordings"

LOCAL = {
    "from_connection_string": "gives a client",
    "get_call_connection": "gives a client",
    "close": "closes the connections of the client",
    "download_recording": _HOSTS,
    "delete_recording": _HOSTS,
}
"""The methods that send no request to the simulator, and what each of them does."""
