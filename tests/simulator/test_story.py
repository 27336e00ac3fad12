"""One call from ring to hang-up: its events are those of the documentation, in order, and the SDK's parsers read them.

https://learn.microsoft.com/azure/communication-services/concepts/call-automation/call-automation#events
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, SystemEventNames

from listening import Listener
from live_server import serving
from ringback.simulator import SCENARIOS, Simulator

sdk: Any = pytest.importorskip("azure.communication.callautomation")
if not hasattr(sdk.CallConnectionClient, "move_participants"):
    pytest.skip("this release of the client has not all that the story needs", allow_module_level=True)

from azure.communication.callautomation._generated import models  # noqa: E402 - what the skip is for
from azure.communication.callautomation.aio import CallAutomationClient  # noqa: E402

CALLER, AGENT, EXPERT, OURS = (sdk.PhoneNumberIdentifier(f"+1555010000{each}") for each in (1, 3, 4, 2))
PERSON = replace(SCENARIOS["connected"], name="person", speech="To Oslo.", choice="Window", words=("To Oslo.",))
NO_MODEL_HAS = {"version", "publicEventType", "eventSource"}
"""Keys of recorded deliveries that the models of the SDK leave out."""

CHOICES = [sdk.RecognitionChoice(label=each, phrases=[each]) for each in ("Aisle", "Window")]


def says(text: str) -> Any:
    return sdk.TextSource(text=text, voice_name="en-US-AvaNeural")


class Story:
    """The app: each method is one thing that it does; ``until`` waits for the event that ends it."""

    def __init__(self, acs: Simulator, client: CallAutomationClient, listener: Listener, origin: str) -> None:
        self.acs, self.client, self.listener = acs, client, listener
        self.url, self.grid, self.socket = f"{origin}/cb", f"{origin}/grid", f"{origin.replace('http', 'ws', 1)}/ws"
        self.connection: Any = None

    async def until(self, name: str, times: int = 1) -> None:
        await self.listener.until(lambda: self.listener.names().count(name) == times)

    async def answers(self) -> None:
        await self.acs.subscribe(self.grid)
        await self.acs.incoming(self.grid, caller=CALLER.properties["value"], scenario=PERSON)
        where = {"transport_url": self.socket, "transport_type": "websocket"}
        answered = await self.client.answer_call(
            self.listener.grid[-1]["data"]["incomingCallContext"],
            self.url,
            operation_context="order-7",
            cognitive_services_endpoint="https://speech.example.com",
            media_streaming=sdk.MediaStreamingOptions(
                content_type="audio", audio_channel_type="mixed", start_media_streaming=True, **where
            ),
            transcription=sdk.TranscriptionOptions(locale="en-US", start_transcription=True, **where),
        )
        self.connection = self.client.get_call_connection(answered.call_connection_id)
        await self.until("TranscriptionStarted")
        await self.listener.until(lambda: {"AudioData", "TranscriptionData"} <= set(self.listener.kinds()))

    async def asks(self) -> None:
        ask = self.connection.start_recognizing_media
        await ask("speech", CALLER, play_prompt=says("Where to?"), operation_context="where")
        await self.until("RecognizeCompleted", 1)
        await ask("choices", CALLER, play_prompt=says("Aisle or window?"), choices=CHOICES, operation_context="seat")
        await self.until("RecognizeCompleted", 2)

    async def records(self) -> None:
        call_id = self.acs.calls[0].call_connection_id
        await self.client.start_recording(call_connection_id=call_id, recording_state_callback_url=self.url)
        await self.until("RecordingStateChanged")

    async def adds_and_transfers(self) -> None:
        await self.connection.add_participant(AGENT, source_caller_id_number=OURS, operation_context="agent")
        await self.until("ParticipantsUpdated", 2)
        await self.connection.play_media(says("Good-bye."), operation_context="bye")
        await self.until("PlayCompleted")
        await self.connection.transfer_call_to_participant(EXPERT, transferee=CALLER, operation_context="expert")
        await self.until("ParticipantsUpdated", 3)

    async def hangs_up(self) -> None:
        await self.connection.hang_up(is_for_everyone=True)
        await self.acs.idle()


@pytest.fixture
async def told() -> Listener:
    """What the app has received when the call is over."""
    listener = Listener()
    async with serving(listener.app, ws="wsproto") as origin:
        acs = Simulator(PERSON, latency=(0, 0), seed=7, grid=f"{origin}/grid")
        async with acs, CallAutomationClient(acs.url, acs.credential, retry_total=0) as client:
            story = Story(acs, client, listener, origin)
            await story.answers()
            await story.asks()
            await story.records()
            await story.adds_and_transfers()
            await story.hangs_up()
    return listener


async def test_a_call_from_ring_to_hang_up(told: Listener) -> None:
    """The events in order, with the contexts of the requests; each parses, and nothing in it is unknown to the SDK."""
    seen = []
    for given in told.events:
        event = CloudEvent.from_dict(given)
        name = event.type.rpartition(".")[2]
        model = getattr(models, name).deserialize(event.data)
        assert set(model.additional_properties) <= NO_MODEL_HAS, name
        result = model.result_information.sub_code
        seen.append((name, result, getattr(model, "operation_context", None)))
    assert seen == [
        ("CallConnected", 0, "order-7"),
        ("ParticipantsUpdated", 0, None),
        ("MediaStreamingStarted", 0, None),
        ("TranscriptionStarted", 0, None),
        ("RecognizeCompleted", 8569, "where"),
        ("RecognizeCompleted", 8545, "seat"),
        ("RecordingStateChanged", 0, None),
        ("AddParticipantSucceeded", 0, "agent"),
        ("ParticipantsUpdated", 0, None),
        ("PlayStarted", 0, "bye"),
        ("PlayCompleted", 0, "bye"),
        ("CallTransferAccepted", 0, "expert"),
        ("ParticipantsUpdated", 0, None),
        ("MediaStreamingStopped", 0, None),
        ("TranscriptionStopped", 0, None),
        ("RecordingStateChanged", 0, None),
        ("CallDisconnected", 7000, "order-7"),
    ]
    where, seat = (each["data"] for each in told.events if each["type"].endswith(".RecognizeCompleted"))
    assert models.RecognizeCompleted.deserialize(where).speech_result.speech == "To Oslo."
    assert models.RecognizeCompleted.deserialize(seat).choice_result.label == "Window"


async def test_what_event_grid_told(told: Listener) -> None:
    """The handshake with the address, the call, and at the end the file."""
    found = [EventGridEvent.from_dict(each) for each in told.grid]
    assert [each.event_type for each in found] == [
        SystemEventNames.EventGridSubscriptionValidationEventName,
        SystemEventNames.AcsIncomingCallEventName,
        SystemEventNames.AcsRecordingFileStatusUpdatedEventName,
    ]
    assert found[1].data["from"]["phoneNumber"]["value"] == CALLER.properties["value"]
    assert found[2].data["recordingStorageInfo"]["recordingChunks"][0]["endReason"] == "SessionEnded"
