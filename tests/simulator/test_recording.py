"""Recordings: the client's operations, RecordingStateChanged, RecordingFileStatusUpdated by Event Grid, and the file.

https://learn.microsoft.com/azure/communication-services/concepts/voice-video-calling/call-recording
"""

from __future__ import annotations

import io
import wave
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from azure.communication.callautomation import (
    PhoneNumberIdentifier,
    RecordingChannel,
    RecordingContent,
    RecordingFormat,
)
from azure.communication.callautomation.aio import CallAutomationClient
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from listening import Listener
from live_server import serving
from ringback.exceptions import ConfigurationError
from ringback.simulator import Simulator
from ringback.testing import Call, recording_file_status_updated, recording_state_changed
from ringback.testing.signing import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

sdk: Any = pytest.importorskip("azure.communication.callautomation")
if not hasattr(sdk, "MediaStreamingOptions"):
    pytest.skip("this release of the client starts no recording of this kind", allow_module_level=True)

CALLEE = PhoneNumberIdentifier("+15550100002")
CALLER = PhoneNumberIdentifier("+15550100001")
ZERO = "0001-01-01T00:00:00+00:00"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_772_701_200.0

    def __call__(self) -> float:
        return self.now


class Line:
    """A call that is connected, and what is recorded of it."""

    def __init__(self, acs: Simulator, client: Any, listener: Listener, origin: str, clock: Clock) -> None:
        self.acs, self.client, self.listener, self.origin, self.clock = acs, client, listener, origin, clock
        self.connection: Any = None

    async def call(self) -> Any:
        placed = await self.client.create_call(CALLEE, f"{self.origin}/cb", source_caller_id_number=CALLER)
        await self.acs.idle()
        self.connection = self.client.get_call_connection(placed.call_connection_id)
        return placed

    async def record(self, **settings: Any) -> str:
        placed = await self.call()
        own = {"server_call_id": placed.server_call_id}
        own["recording_state_callback_url"] = f"{self.origin}/cb"
        started = await self.client.start_recording(**own | settings)
        await self.acs.idle()
        return str(started.recording_id)

    async def after(self, seconds: float) -> None:
        self.clock.now += seconds

    def states(self) -> list[tuple[str, bool]]:
        """The states that were told, and whether each event says when the recording began."""
        events = [event["data"] for event in self.listener.events if "RecordingStateChanged" in event["type"]]
        return [(data["state"], data["startDateTime"] != ZERO) for data in events]


@asynccontextmanager
async def line(*, grid: str | None = "/grid", scenario: str = "connected", **settings: Any) -> AsyncGenerator[Line]:
    listener, clock = Listener(), Clock()
    async with serving(listener.app) as origin:
        own = {"latency": (0, 0), "seed": 7, "clock": clock, "signed": False}
        acs = Simulator(scenario, grid=None if grid is None else f"{origin}{grid}", **own | settings)
        async with acs, CallAutomationClient(acs.url, acs.credential, retry_total=0) as client:
            clock.now = 1_772_701_200.0
            yield Line(acs, client, listener, origin, clock)


ACTIVE, INACTIVE = ("active", True), ("inactive", False)


async def test_a_recording_starts_pauses_goes_on_and_stops() -> None:
    """Each change is told; a recording that has ended is not found any more."""
    async with line() as on:
        recording_id = await on.record()
        assert (await on.client.get_recording_properties(recording_id)).recording_state == "active"
        await on.after(2)
        await on.client.pause_recording(recording_id)
        await on.acs.idle()
        assert (await on.client.get_recording_properties(recording_id)).recording_state == "inactive"
        await on.after(10)
        await on.client.resume_recording(recording_id)
        await on.acs.idle()
        await on.after(3)
        await on.client.stop_recording(recording_id)
        await on.acs.idle()
        assert on.states() == [ACTIVE, INACTIVE, ACTIVE, INACTIVE]
        for act in (on.client.get_recording_properties, on.client.stop_recording, on.client.pause_recording):
            with pytest.raises(ResourceNotFoundError):
                await act(recording_id)
        [recording] = on.acs.recordings
        assert (recording.recorded, recording.pauses) == (
            5.0,
            [(1_772_701_202.0, 1_772_701_212.0), (1_772_701_215.0, None)],
        )


async def test_the_events_are_those_of_the_builders() -> None:
    """Key for key, with the leg of the recording and not that of the call."""
    async with line() as on:
        recording_id = await on.record()
        [call], [recording] = on.acs.calls, on.acs.recordings
        event = on.listener.events[-1]
        known = Call(
            call_connection_id=recording.leg,
            server_call_id=call.server_call_id,
            correlation_id=call.correlation_id,
            version=call.version,
        )
        start = event["data"]["startDateTime"]
        built = recording_state_changed(call=known, event_id=event["id"], time=event["time"], start_date_time=start)
        assert event == built
        assert (recording_id, recording.id) == (known.recording_id, known.recording_id)
        assert event["data"]["callConnectionId"] != call.call_connection_id
        await on.after(1.25)
        await on.connection.hang_up(True)
        await on.acs.idle()
        filed = on.listener.grid[1]
        assert filed == recording_file_status_updated(
            call=known,
            event_id=filed["id"],
            time=filed["eventTime"],
            start=start.replace("+00:00", "Z"),
            document=recording.document,
            place=f"{on.acs.url}/v1/objects",
            duration=1.25,
        )


async def test_a_recording_ends_with_its_call() -> None:
    """Before the event that ends the call; the file is announced after Event Grid's handshake, and can be fetched."""
    async with line() as on:
        await on.record(
            recording_content_type=RecordingContent.AUDIO,
            recording_channel_type=RecordingChannel.UNMIXED,
            recording_format_type=RecordingFormat.WAV,
        )
        await on.after(1.5)
        await on.connection.hang_up(True)
        await on.acs.idle()
        assert on.listener.names()[-2:] == ["RecordingStateChanged", "CallDisconnected"]
        assert on.states() == [ACTIVE, INACTIVE]
        validation, filed = on.listener.grid
        assert "validationCode" in validation["data"]
        [chunk] = filed["data"]["recordingStorageInfo"]["recordingChunks"]
        assert filed["data"]["recordingDurationMs"] == 1500
        async with httpx.AsyncClient() as web:
            found = await web.get(chunk["contentLocation"])
            assert (found.status_code, found.headers["content-type"]) == (200, "audio/wav")
            with wave.open(io.BytesIO(found.content)) as file:
                assert (file.getnframes(), file.getnchannels()) == (24_000, 1)
            metadata = (await web.get(chunk["metadataLocation"])).json()
            assert metadata == {
                "resourceId": AUDIENCE,
                "callId": on.acs.calls[0].correlation_id,
                "chunkDocumentId": chunk["documentId"],
                "chunkIndex": 0,
                "chunkStartTime": "2026-03-05T09:00:00.000Z",
                "chunkDuration": 1500.0,
                "pauseResumeIntervals": [],
                "recordingInfo": {
                    "contentType": "audio",
                    "channelType": "unmixed",
                    "format": "wav",
                    "audioConfiguration": {"sampleRate": 16000, "bitRate": 256000, "channels": 1},
                },
                "participants": [{"participantId": "4:+15550100002", "channel": 0}],
            }
            assert (await web.delete(chunk["contentLocation"])).status_code == 404
            assert (await web.delete(chunk["deleteLocation"])).status_code == 200
            for place in chunk["contentLocation"], chunk["metadataLocation"], chunk["deleteLocation"]:
                assert (await web.get(place)).json()["error"]["code"] == "NotFound"


async def test_the_client_downloads_from_the_service_alone() -> None:
    """It insists on the hosts of the service, and so the simulator's file is out of its reach."""
    async with line() as on:
        await on.record()
        await on.after(1)
        await on.connection.hang_up(True)
        await on.acs.idle()
        place = on.listener.grid[1]["data"]["recordingStorageInfo"]["recordingChunks"][0]["contentLocation"]
        if hasattr(sdk, "recording_url_validator"):
            with pytest.raises(ValueError, match="HTTPS"):
                await on.client.download_recording(place)


async def test_a_pause_is_in_the_metadata_and_not_in_the_file() -> None:
    """One interval for each pause that ended."""
    async with line() as on:
        recording_id = await on.record(pause_on_start=True)
        assert on.states() == [("inactive", False)]
        await on.after(5)
        await on.client.resume_recording(recording_id)
        await on.after(1)
        await on.client.pause_recording(recording_id)
        await on.after(2)
        await on.client.resume_recording(recording_id)
        await on.after(1)
        await on.client.stop_recording(recording_id)
        await on.acs.idle()
        [chunk] = on.listener.grid[1]["data"]["recordingStorageInfo"]["recordingChunks"]
        assert on.listener.grid[1]["data"]["recordingDurationMs"] == 2000
        async with httpx.AsyncClient() as web:
            metadata = (await web.get(chunk["metadataLocation"])).json()
        assert metadata["pauseResumeIntervals"] == [{"startTime": "2026-03-05T09:00:06.000Z", "duration": 2000.0}]
        assert metadata["participants"] == [{"participantId": "4:+15550100002"}]
        assert chunk["contentLocation"].endswith("/content/video")


async def test_a_recording_that_never_went_on_has_no_file() -> None:
    """ "Recordings will need to be resumed for recording file to be generated"."""
    async with line() as on:
        recording_id = await on.record(pause_on_start=True, recording_state_callback_url=None)
        await on.after(5)
        await on.client.stop_recording(recording_id)
        await on.acs.idle()
        assert (on.states(), on.listener.grid) == ([], [])


async def test_nobody_is_told_where_nobody_wants_to_know() -> None:
    """Without a callback URL and without an address of Event Grid the recording ends silently with the call."""
    async with line(grid=None) as on:
        placed = await on.call()
        started = await on.client.start_recording(call_connection_id=placed.call_connection_id)
        await on.after(1)
        await on.connection.hang_up(True)
        await on.acs.idle()
        assert (on.states(), on.listener.grid) == ([], [])
        [recording] = on.acs.recordings
        assert (recording.id, recording.ended) == (started.recording_id, on.clock.now)


async def test_an_endpoint_without_handshake_gets_no_file() -> None:
    """The reason is said."""
    said: list[str] = []
    async with line(grid="/nowhere", say=said.append) as on:
        await on.record()
        await on.after(1)
        await on.connection.hang_up(True)
        await on.acs.idle()
        assert [each for each in said if "handshake" in each] == [
            f"Event Grid's handshake with {on.origin}/nowhere failed: 404; "
            "the app has no route there; check the path of the address"
        ]


def test_an_address_of_event_grid_is_a_url() -> None:
    """At the start, not at the first file."""
    with pytest.raises(ConfigurationError, match=r"^grid .* is no http"):
        Simulator(grid="grid")


AUDIO, UNMIXED = RecordingContent.AUDIO, RecordingChannel.UNMIXED


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        pytest.param({"recording_content_type": "smell"}, "8523", id="content"),
        pytest.param({"recording_channel_type": UNMIXED}, "8562", id="video has one channel"),
        pytest.param({"recording_format_type": RecordingFormat.WAV}, "8557", id="video is MP4"),
        pytest.param(
            {
                "recording_content_type": AUDIO,
                "recording_channel_type": UNMIXED,
                "recording_format_type": RecordingFormat.MP3,
            },
            "8557",
            id="unmixed audio is WAV",
        ),
        pytest.param({"recording_state_callback_url": "http://app.example.com"}, "8523", id="callback without TLS"),
        pytest.param({"server_call_id": "unheard-of"}, "8522", id="no such call"),
        pytest.param({"server_call_id": None, "room_id": "room"}, "8522", id="a room"),
        pytest.param({"server_call_id": None, "call_connection_id": "unheard-of"}, "8522", id="no such leg"),
    ],
)
async def test_a_recording_that_cannot_be_is_refused(settings: dict[str, Any], code: str) -> None:
    """With the service's code."""
    async with line() as on:
        with pytest.raises(HttpResponseError) as raised:
            await on.record(**settings)
        assert raised.value.error is not None
        assert (raised.value.error.code, raised.value.status_code) == (code, 404 if code == "8522" else 400)
        assert on.acs.recordings == []


async def test_one_call_has_one_recording_at_a_time() -> None:
    """8553: duplicate recording. 8573: what is paused cannot be paused, and what goes on cannot go on."""
    async with line() as on:
        recording_id = await on.record()
        [call] = on.acs.calls
        with pytest.raises(HttpResponseError) as raised:
            await on.client.start_recording(call_connection_id=call.call_connection_id)
        assert raised.value.error is not None
        assert raised.value.error.code == "8553"
        with pytest.raises(HttpResponseError) as raised:
            await on.client.resume_recording(recording_id)
        assert raised.value.error is not None
        assert raised.value.error.code == "8573"
        await on.client.stop_recording(recording_id)
        await on.client.start_recording(call_connection_id=call.call_connection_id)
        assert [each.state for each in on.acs.recordings] == ["inactive", "active"]


async def test_a_call_that_rings_is_not_recorded() -> None:
    """8501; and a request has to name a call."""
    async with line(scenario="ringing") as on:
        with pytest.raises(HttpResponseError) as raised:
            await on.record()
        assert raised.value.error is not None
        assert raised.value.error.code == "8501"
        with pytest.raises(HttpResponseError) as raised:
            await on.client._call_recording_client.start_recording({})
        assert "give one of them" in str(raised.value)
