"""How does an app test its hooks? With deliveries, tokens, outcomes and a client.

No test framework is needed; pytest has Ringback's fixtures without a further step. Signing needs ``ringback[testing]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringback.testing.bound import CallEvents
from ringback.testing.builder import Builder, CloudEvent, call_event
from ringback.testing.calls import Call
from ringback.testing.capture import capture_outcomes
from ringback.testing.client import CallbackClient, HooksLate, RouterUnknown
from ringback.testing.deliveries import batch, delivery, redelivered
from ringback.testing.events import (
    add_participant_failed,
    add_participant_succeeded,
    answer_failed,
    call_connected,
    call_disconnected,
    call_transfer_accepted,
    call_transfer_failed,
    cancel_add_participant_failed,
    cancel_add_participant_succeeded,
    connect_failed,
    continuous_dtmf_recognition_stopped,
    continuous_dtmf_recognition_tone_failed,
    continuous_dtmf_recognition_tone_received,
    create_call_failed,
    failed_call,
    hold_audio_completed,
    hold_audio_paused,
    hold_audio_resumed,
    hold_audio_started,
    hold_failed,
    media_streaming_failed,
    media_streaming_started,
    media_streaming_stopped,
    move_participant_failed,
    move_participant_succeeded,
    old_api,
    participants_updated,
    play_canceled,
    play_completed,
    play_failed,
    play_started,
    recognize_canceled,
    recognize_completed,
    recognize_failed,
    recording_state_changed,
    rejected_call,
    remove_participant_failed,
    remove_participant_succeeded,
    send_dtmf_tones_completed,
    send_dtmf_tones_failed,
    start_recording_failed,
    transcription_failed,
    transcription_started,
    transcription_stopped,
    transcription_updated,
)
from ringback.testing.failures import HooksFailed
from ringback.testing.grid import (
    call_ended,
    call_participant_added,
    call_participant_removed,
    call_started,
    grid_event,
    grid_headers,
    incoming_call,
    recording_file_status_updated,
    subscription_validation,
    webhook_validation,
)
from ringback.testing.posting import AppNotStarted, NoAnswer, Reply
from ringback.testing.signing import AUDIENCE, Issuer, default_issuer, sign
from ringback.testing.sync_client import SyncCallbackClient
from ringback.testing.wire import identifier

if TYPE_CHECKING:
    from ringback.simulator import Simulator
else:
    # A type checker that sees this function takes every name for one of the package, a misspelt one too.

    def __getattr__(name: str) -> Any:
        # Imported at its first use, because the simulator is a server and imports the builders of this package.
        if name == "Simulator":
            from ringback.simulator import Simulator

            return Simulator
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AUDIENCE",
    "AppNotStarted",
    "Builder",
    "Call",
    "CallEvents",
    "CallbackClient",
    "CloudEvent",
    "HooksFailed",
    "HooksLate",
    "Issuer",
    "NoAnswer",
    "Reply",
    "RouterUnknown",
    "Simulator",
    "SyncCallbackClient",
    "add_participant_failed",
    "add_participant_succeeded",
    "answer_failed",
    "batch",
    "call_connected",
    "call_disconnected",
    "call_ended",
    "call_event",
    "call_participant_added",
    "call_participant_removed",
    "call_started",
    "call_transfer_accepted",
    "call_transfer_failed",
    "cancel_add_participant_failed",
    "cancel_add_participant_succeeded",
    "capture_outcomes",
    "connect_failed",
    "continuous_dtmf_recognition_stopped",
    "continuous_dtmf_recognition_tone_failed",
    "continuous_dtmf_recognition_tone_received",
    "create_call_failed",
    "default_issuer",
    "delivery",
    "failed_call",
    "grid_event",
    "grid_headers",
    "hold_audio_completed",
    "hold_audio_paused",
    "hold_audio_resumed",
    "hold_audio_started",
    "hold_failed",
    "identifier",
    "incoming_call",
    "media_streaming_failed",
    "media_streaming_started",
    "media_streaming_stopped",
    "move_participant_failed",
    "move_participant_succeeded",
    "old_api",
    "participants_updated",
    "play_canceled",
    "play_completed",
    "play_failed",
    "play_started",
    "recognize_canceled",
    "recognize_completed",
    "recognize_failed",
    "recording_file_status_updated",
    "recording_state_changed",
    "redelivered",
    "rejected_call",
    "remove_participant_failed",
    "remove_participant_succeeded",
    "send_dtmf_tones_completed",
    "send_dtmf_tones_failed",
    "sign",
    "start_recording_failed",
    "subscription_validation",
    "transcription_failed",
    "transcription_started",
    "transcription_stopped",
    "transcription_updated",
    "webhook_validation",
]
