"""Event names as the look-up needs them: one spelling, one scope."""

from __future__ import annotations

from functools import lru_cache

from ringback_catalog._load import package_files, read_toml
from ringback_catalog._model import Scope

PREFIX = "Microsoft.Communication."

CALL_EVENTS = frozenset({"AnswerFailed", "CallDisconnected", "CallEnded", "ConnectFailed", "CreateCallFailed"})
"""The events that end a call, or say that it never started. Any other reports on an operation."""

START_FAILURES = frozenset({"AnswerFailed", "ConnectFailed", "CreateCallFailed"})
"""The call events that say that the call never started."""

OPERATION_EVENTS = frozenset(
    {
        "AddParticipantFailed",
        "AddParticipantSucceeded",
        "CallConnected",
        "CallTransferAccepted",
        "CallTransferFailed",
        "CancelAddParticipantFailed",
        "CancelAddParticipantSucceeded",
        "ContinuousDtmfRecognitionStopped",
        "ContinuousDtmfRecognitionToneFailed",
        "ContinuousDtmfRecognitionToneReceived",
        "HoldFailed",
        "MediaStreamingFailed",
        "MediaStreamingStarted",
        "MediaStreamingStopped",
        "MoveParticipantFailed",
        "MoveParticipantSucceeded",
        "ParticipantsUpdated",
        "PlayCanceled",
        "PlayCompleted",
        "PlayFailed",
        "PlayStarted",
        "RecognizeCanceled",
        "RecognizeCompleted",
        "RecognizeFailed",
        "RecordingStateChanged",
        "RemoveParticipantFailed",
        "RemoveParticipantSucceeded",
        "SendDtmfTonesCompleted",
        "SendDtmfTonesFailed",
        "StartRecordingFailed",
        "TranscriptionFailed",
        "TranscriptionStarted",
        "TranscriptionStopped",
        "TranscriptionUpdated",
    }
)
"""The other events of Call Automation that carry a result (azure-communication-callautomation 1.6.0)."""


@lru_cache(maxsize=1)
def _aliases() -> dict[str, str]:
    aliases: dict[str, str] = read_toml(package_files() / "aliases.toml")["events"]
    known = {name.lower(): name for name in CALL_EVENTS | OPERATION_EVENTS}
    return known | {name.lower(): real for name, real in aliases.items()}


@lru_cache(maxsize=1024)
def event_name(event_type: str) -> str:
    """The event's name without its prefix, in the service's own spelling where it is known.

    ``Microsoft.Communication.AnswerCallFailed`` is ``AnswerFailed``. A name nobody knows stays
    as it is, without the prefix.
    """
    short = event_type.strip()
    if short[: len(PREFIX)].lower() == PREFIX.lower():
        short = short[len(PREFIX) :]
    return _aliases().get(short.lower(), short)


def scope_of(event: str | None) -> Scope:
    """The scope of an event by its name. No event at all is read as the end of a call."""
    return Scope.CALL if event is None or event in CALL_EVENTS else Scope.OPERATION
