"""The table of events: the kind of an event, the events that it comes instead of, the spellings of its name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from ringback_catalog._toml import package_files, read_toml
from ringback_catalog._words import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "Microsoft.Communication."
"""What the type of every event of Communication Services begins with."""


class EventKind(StrEnum):
    """What an event means to code that waits for an event of a call."""

    END = "end"
    """The call ended or never started. The service sends one such event for a leg."""
    BEGIN = "begin"
    """The call is connected. The service sends one such event for a leg."""
    ANSWER = "answer"
    """The service answers an operation that the app asked for."""
    STATE = "state"
    """A state of the call changed."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """The kind of one event, and the events that it comes instead of.

    ``instead_of`` names the events that an app may wait for and that will not come after this one, because the
    operation failed or the app canceled it. ``elsewhere`` is true for an event of which the Python SDK has no model
    with a result: the newest JavaScript, .NET or Java SDK knows the event, or Event Grid sends it.
    """

    kind: EventKind
    instead_of: tuple[str, ...] = ()
    elsewhere: bool = False


def _answer(*instead_of: str) -> EventRow:
    return EventRow(EventKind.ANSWER, instead_of)


_END, _ANSWER, _STATE = EventRow(EventKind.END), EventRow(EventKind.ANSWER), EventRow(EventKind.STATE)
_OTHER_ANSWER, _OTHER_STATE = EventRow(EventKind.ANSWER, elsewhere=True), EventRow(EventKind.STATE, elsewhere=True)

_PLAYING = ("PlayCompleted", "PlayPaused", "PlayResumed", "PlayStarted")
_HOLDING = ("HoldAudioCompleted", "HoldAudioPaused", "HoldAudioResumed", "HoldAudioStarted")
_TRANSCRIBING = (
    "TranscriptionCallSummaryUpdated",
    "TranscriptionResumed",
    "TranscriptionStarted",
    "TranscriptionStopped",
    "TranscriptionUpdated",
)

EVENTS: Mapping[str, EventRow] = MappingProxyType(
    {
        # Code that waits for any event of a call gets the end of the call anyway, so the rows name no other event.
        "AnswerFailed": _END,
        "CallDisconnected": _END,
        "CallEnded": _END,
        "ConnectFailed": _END,
        "CreateCallFailed": _END,
        "AddParticipantFailed": _answer("AddParticipantSucceeded"),
        "AddParticipantSucceeded": _ANSWER,
        "CallConnected": EventRow(EventKind.BEGIN),
        "CallTransferAccepted": _ANSWER,
        "CallTransferFailed": _answer("CallTransferAccepted"),
        "CancelAddParticipantFailed": _answer("CancelAddParticipantSucceeded"),
        "CancelAddParticipantSucceeded": _ANSWER,
        "ContinuousDtmfRecognitionStopped": _ANSWER,
        "ContinuousDtmfRecognitionToneFailed": _answer("ContinuousDtmfRecognitionToneReceived"),
        "ContinuousDtmfRecognitionToneReceived": _STATE,
        "HoldFailed": _answer(*_HOLDING),
        "MediaStreamingFailed": _answer("MediaStreamingStarted", "MediaStreamingStopped"),
        "MediaStreamingStarted": _ANSWER,
        "MediaStreamingStopped": _ANSWER,
        "MoveParticipantFailed": _answer("MoveParticipantSucceeded"),
        "MoveParticipantSucceeded": _ANSWER,
        "ParticipantsUpdated": _STATE,
        "PlayCanceled": _answer(*_PLAYING),
        "PlayCompleted": _ANSWER,
        "PlayFailed": _answer(*_PLAYING),
        "PlayStarted": _ANSWER,
        "RecognizeCanceled": _answer("RecognizeCompleted"),
        "RecognizeCompleted": _ANSWER,
        "RecognizeFailed": _answer("RecognizeCompleted"),
        "RecordingStateChanged": _STATE,
        "RemoveParticipantFailed": _answer("RemoveParticipantSucceeded"),
        "RemoveParticipantSucceeded": _ANSWER,
        "SendDtmfTonesCompleted": _ANSWER,
        "SendDtmfTonesFailed": _answer("SendDtmfTonesCompleted"),
        "StartRecordingFailed": _answer("RecordingStateChanged"),
        "TranscriptionFailed": _answer(*_TRANSCRIBING),
        "TranscriptionStarted": _ANSWER,
        "TranscriptionStopped": _ANSWER,
        "TranscriptionUpdated": _ANSWER,
        "DialogCompleted": _OTHER_ANSWER,
        "DialogConsent": _OTHER_STATE,
        "DialogFailed": EventRow(EventKind.ANSWER, ("DialogCompleted", "DialogStarted"), elsewhere=True),
        "DialogHangup": _OTHER_STATE,
        "DialogLanguageChange": _OTHER_STATE,
        "DialogSensitivityUpdate": _OTHER_STATE,
        "DialogStarted": _OTHER_ANSWER,
        "DialogTransfer": _OTHER_STATE,
        "HoldAudioCompleted": _OTHER_ANSWER,
        "HoldAudioPaused": _OTHER_ANSWER,
        "HoldAudioResumed": _OTHER_ANSWER,
        "HoldAudioStarted": _OTHER_ANSWER,
        "IncomingCall": _OTHER_STATE,
        "PlayPaused": _OTHER_ANSWER,
        "PlayResumed": _OTHER_ANSWER,
        "TeamsComplianceRecordingStateChanged": _OTHER_STATE,
        "TeamsRecordingStateChanged": _OTHER_STATE,
        "TranscriptionCallSummaryUpdated": _OTHER_ANSWER,
        "TranscriptionResumed": _OTHER_ANSWER,
    }
)
"""Every event of Call Automation that an SDK knows, and Event Grid's end of a call.

The names are those of azure-communication-callautomation 1.6.0, and of the event parsers of
https://github.com/Azure/azure-sdk-for-js (communication-call-automation), azure-sdk-for-net
(Azure.Communication.CallAutomation) and azure-sdk-for-java (azure-communication-callautomation).
"""

CALL_EVENTS = frozenset(name for name, row in EVENTS.items() if row.kind is EventKind.END)
"""The events that a call ended or never started. Every other event reports on an operation."""

START_FAILURES = CALL_EVENTS - {"CallDisconnected", "CallEnded"}
"""The events that a call never started."""

OPERATION_EVENTS = frozenset(name for name, row in EVENTS.items() if not row.elsewhere) - CALL_EVENTS
"""The other events of Call Automation that carry a result (azure-communication-callautomation 1.6.0)."""

INSTEAD_OF: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        wanted: frozenset(name for name, row in EVENTS.items() if wanted in row.instead_of)
        for row in EVENTS.values()
        for wanted in row.instead_of
    }
)
"""The events that come instead of an event when its operation failed: :attr:`EventRow.instead_of`, turned round."""


@lru_cache(maxsize=1)
def _aliases() -> dict[str, str]:
    aliases: dict[str, str] = read_toml(package_files() / "aliases.toml")["events"]
    spelled = {name.lower(): name for name in EVENTS} | {name.lower(): real for name, real in aliases.items()}
    # The previews of 2022 added "Event" to the names: PlayCompleted was also PlayCompletedEvent.
    return {f"{name}event": real for name, real in spelled.items()} | spelled


@lru_cache(maxsize=1024)
def event_name(event_type: str) -> str:
    """The event's name without its prefix, in the service's spelling: ``AnswerFailed`` for
    ``Microsoft.Communication.AnswerCallFailed``. An unknown name keeps its spelling.
    """
    short = event_type.strip()
    if short[: len(PREFIX)].lower() == PREFIX.lower():
        short = short[len(PREFIX) :]
    return _aliases().get(short.lower(), short)


def scope_of(event: str | None) -> Scope:
    """The scope of an event by its name. ``None`` means the end of some call."""
    return Scope.CALL if event is None or event in CALL_EVENTS else Scope.OPERATION


def is_failure(event: str | None) -> bool:
    """Whether an event's name, also an unknown one, says that something failed."""
    return event is not None and event.endswith("Failed")


def is_success(event: str | None) -> bool:
    """Whether an event's name, also an unknown one, says that something succeeded."""
    return event is not None and event.endswith("Succeeded")
