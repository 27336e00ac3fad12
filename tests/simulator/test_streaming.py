"""Media streaming and transcription: a subscription of the call, events, and a websocket to the app's server.

https://learn.microsoft.com/azure/communication-services/how-tos/call-automation/audio-streaming-quickstart
https://learn.microsoft.com/azure/communication-services/how-tos/call-automation/real-time-transcription-tutorial
"""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from azure.core.exceptions import HttpResponseError
from hypothesis import given
from hypothesis import strategies as st

from listening import Listener
from live_server import serving
from ringback.simulator import SCENARIOS, Simulator
from ringback.simulator.authority import certificate_in
from ringback.simulator.frames import Heard

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

sdk: Any = pytest.importorskip("azure.communication.callautomation")
if not hasattr(sdk, "MediaStreamingOptions"):
    pytest.skip("this release of the client has no streams", allow_module_level=True)

from azure.communication.callautomation.aio import CallAutomationClient  # noqa: E402 - what the skip is for

CALLEE = sdk.PhoneNumberIdentifier("+15550100002")
CALLER = sdk.PhoneNumberIdentifier("+15550100001")
OTHER = sdk.PhoneNumberIdentifier("+15550100003")
SPEECH = "https://speech.example.com"
STAYS = replace(SCENARIOS["connected"], name="stays", tones="1#", words=("Hello there.", "", "Yes."))


class Line:
    """A simulator, the real client, and an app on a socket."""

    def __init__(self, acs: Simulator, client: Any, listener: Listener, origin: str) -> None:
        self.acs, self.client, self.listener, self.origin = acs, client, listener, origin
        self.connection: Any = None

    @property
    def socket(self) -> str:
        return f"{self.origin.replace('http', 'ws', 1)}/ws"

    def streaming(self, **settings: Any) -> Any:
        own = {"transport_url": self.socket, "transport_type": "websocket", "content_type": "audio"}
        return sdk.MediaStreamingOptions(**{**own, "audio_channel_type": "mixed"} | settings)

    def transcription(self, **settings: Any) -> Any:
        own = {"transport_url": self.socket, "transport_type": "websocket", "locale": "en-US"}
        return sdk.TranscriptionOptions(**{**own, "start_transcription": False} | settings)

    async def call(self, **settings: Any) -> Any:
        placed = await self.client.create_call(
            CALLEE, f"{self.origin}/cb", source_caller_id_number=CALLER, cognitive_services_endpoint=SPEECH, **settings
        )
        await self.acs.idle()
        self.connection = self.client.get_call_connection(placed.call_connection_id)
        return self.connection

    async def state(self) -> tuple[str | None, str | None]:
        """The states of media streaming and of transcription in the call's properties."""
        found = await self.connection.get_call_properties()
        streams = (found.media_streaming_subscription, found.transcription_subscription)
        return tuple(None if each is None else each.state for each in streams)  # type: ignore[return-value]


async def hurried(seconds: float) -> None:
    """Pass the time twenty times as fast."""
    await asyncio.sleep(seconds / 20)


@asynccontextmanager
async def line(scenario: Any = STAYS, listener: Listener | None = None, **settings: Any) -> AsyncGenerator[Line]:
    listener = listener or Listener()
    # wsproto, so that the frames of one library are read by another.
    async with serving(listener.app, ws="wsproto") as origin:
        acs = Simulator(scenario, latency=(0, 0), seed=7, speed=1, **{"sleep": hurried} | settings)
        async with acs, CallAutomationClient(acs.url, acs.credential, retry_total=0) as client:
            yield Line(acs, client, listener, origin)


async def test_a_stream_starts_with_the_call() -> None:
    """The events are in the documented order; the connection has the call's ids and a token; audio follows metadata."""
    async with line() as on:
        await on.call(media_streaming=on.streaming(start_media_streaming=True, audio_format="pcm24KMono"))
        await on.listener.until(lambda: len(on.listener.frames) > 3)
        [call] = on.acs.calls
        assert on.listener.names() == ["CallConnected", "ParticipantsUpdated", "MediaStreamingStarted"]
        properties = await on.connection.get_call_properties()
        subscription = properties.media_streaming_subscription
        assert (subscription.state, subscription.subscribed_content_types) == ("active", ["audio"])
        assert (properties.transcription_subscription, await on.state()) == (None, ("active", None))
        headers = on.listener.headers
        assert headers["x-ms-call-connection-id"] == call.call_connection_id
        assert headers["x-ms-call-correlation-id"] == call.correlation_id
        scheme, _, token = headers["authorization"].partition(" ")
        issuer = on.acs.issuer
        key = jwt.PyJWK(issuer.key_set["keys"][0]).key
        claims = jwt.decode(token, key, algorithms=["RS256"], issuer=issuer.issuer, audience=issuer.audience)
        assert (scheme, claims["exp"] - claims["iat"]) == ("Bearer", 24 * 3600)
        metadata, first, second = on.listener.frames[:3]
        expected = {"encoding": "PCM", "sampleRate": 24000, "channels": 1, "length": 960}
        assert metadata == {"kind": "AudioMetadata", "audioMetadata": {"subscriptionId": subscription.id, **expected}}
        assert (first["kind"], first["audioData"].keys()) == ("AudioData", {"timestamp", "data", "silent"})
        assert first["audioData"]["data"] == second["audioData"]["data"]
        assert len(base64.b64decode(first["audioData"]["data"])) == 960
        assert first["audioData"]["silent"] is False


async def test_each_participant_has_a_voice_in_unmixed_audio() -> None:
    """Who is muted is silent; pressed keys come among the audio where the app asked for them."""
    async with line() as on:
        connection = await on.call(
            media_streaming=on.streaming(audio_channel_type="unmixed", enable_dtmf_tones=True),
        )
        await connection.add_participant(OTHER, source_caller_id_number=CALLER)
        await on.acs.idle()
        await connection.mute_participant(OTHER)
        await connection.start_media_streaming(operation_context="voices")
        await on.acs.idle()
        await on.listener.until(lambda: on.listener.kinds().count("AudioData") > 160)
        assert on.listener.last("MediaStreamingStarted")["operationContext"] == "voices"
        voices = {(each["participantRawID"], each["silent"]) for each in on.listener.data("AudioData")}
        assert voices == {("4:+15550100002", False), ("4:+15550100003", True)}
        assert on.listener.data("DtmfData") == [{"data": "1"}, {"data": "#"}]
        assert on.listener.kinds().index("DtmfData") == 51


async def test_unmixed_audio_of_nobody_is_one_voice() -> None:
    """A call that the app joined has no participants of its own."""
    async with line() as on:
        options = on.streaming(audio_channel_type="unmixed", start_media_streaming=True)
        await on.client.connect_call(f"{on.origin}/cb", room_id="room-1", media_streaming=options)
        await on.listener.until(lambda: len(on.listener.frames) > 2)
        assert "participantRawID" not in on.listener.data("AudioData")[0]


AUDIO = json.dumps({"kind": "AudioData", "audioData": {"data": base64.b64encode(bytes(640)).decode()}})
SAMPLES = json.dumps(
    {"Kind": "AudioData", "AudioData": {"Data": base64.b64encode(bytes(320)).decode()}, "StopAudio": None}
)
STOP = json.dumps({"Kind": "StopAudio", "AudioData": None, "StopAudio": {}})
WRONG = [
    "audio",
    "[]",
    '{"kind": "AudioData"}',
    '{"kind": "AudioData", "audioData": {"data": "!"}}',
    '{"kind": 1}',
    "[" * 100_000,
]


@pytest.mark.parametrize(
    ("bidirectional", "heard"),
    [(True, Heard(frames=2, audio=960, stops=1, refused=6)), (False, Heard(refused=9))],
)
async def test_what_the_app_sends_is_heard(bidirectional: bool, heard: Heard) -> None:
    """In the spelling of any of Microsoft's samples, and only where the app asked for bidirectional streaming."""
    async with line() as on:
        on.listener.answers = [AUDIO, SAMPLES, STOP, *WRONG]
        options = on.streaming(start_media_streaming=True, enable_bidirectional=bidirectional)
        await on.call(media_streaming=options)
        [call] = on.acs.calls
        counted: Callable[[], bool] = lambda: call.heard.frames + call.heard.stops + call.heard.refused == 9  # noqa: E731
        await on.listener.until(counted)
        assert call.heard == heard


@given(st.lists(st.text() | st.binary() | st.sampled_from([AUDIO, STOP]), max_size=20), st.booleans())
def test_whatever_the_app_sends_is_counted_once(texts: list[str | bytes], played: bool) -> None:
    """Nothing that an app sends is a fault of the simulator."""
    heard = Heard()
    for text in texts:
        heard.take(text, played=played)
    assert heard.frames + heard.stops + heard.refused == len(texts)


async def test_a_stream_starts_and_stops_in_the_call() -> None:
    """Its state follows, and the websocket closes; a stream may start again."""
    async with line() as on:
        connection = await on.call(media_streaming=on.streaming())
        states = [await on.state()]
        for act in (connection.start_media_streaming, connection.stop_media_streaming) * 2:
            await act(operation_context="mine")
            await on.acs.idle()
            states.append(await on.state())
        await on.listener.until(lambda: on.listener.closed == 2)
        inactive, active = ("inactive", None), ("active", None)
        assert states == [inactive, active, inactive, active, inactive]
        assert on.listener.names()[2:] == ["MediaStreamingStarted", "MediaStreamingStopped"] * 2
        assert [event["data"].get("operationContext") for event in on.listener.events[2:]] == ["mine"] * 4


async def test_streams_end_with_the_call() -> None:
    """Both of them, before the event that ends the call."""
    async with line() as on:
        connection = await on.call(
            media_streaming=on.streaming(start_media_streaming=True),
            transcription=on.transcription(start_transcription=True),
        )
        assert await on.state() == ("active", "active")
        await connection.hang_up(True)
        await on.acs.idle()
        await on.listener.until(lambda: on.listener.closed == 2)
        ends = ["MediaStreamingStopped", "TranscriptionStopped", "CallDisconnected"]
        assert on.listener.names()[2:] == ["MediaStreamingStarted", "TranscriptionStarted", *ends]
        assert [each.state for each in on.acs.calls[0].subscriptions.values()] == ["inactive", "inactive"]


async def test_of_two_starts_at_once_one_opens() -> None:
    """The other one fails as a second start does, and leaves no connection behind."""
    async with line() as on:
        connection = await on.call(media_streaming=on.streaming())
        on.listener.door.clear()
        for _ in range(2):
            await connection.start_media_streaming()
        await on.listener.until(lambda: on.listener.knocks == 2)
        on.listener.door.set()
        await on.acs.idle()
        assert sorted(on.listener.names()[2:]) == ["MediaStreamingFailed", "MediaStreamingStarted"]
        assert on.listener.last("MediaStreamingFailed")["resultInformation"]["subCode"] == 8583
        await on.listener.until(lambda: on.listener.closed == 1)
        await connection.hang_up(True)
        await on.listener.until(lambda: on.listener.closed == 2)


async def test_of_two_stops_at_once_one_stops() -> None:
    """The service has accepted the first one, so there is nothing to stop for the second, whoever is reported first."""
    async with line() as on:
        connection = await on.call(media_streaming=on.streaming(start_media_streaming=True))
        await on.acs.idle()
        await asyncio.gather(*(connection.stop_media_streaming() for _ in range(2)))
        await on.acs.idle()
        assert sorted(on.listener.names()[3:]) == ["MediaStreamingFailed", "MediaStreamingStopped"]
        assert on.listener.last("MediaStreamingFailed")["resultInformation"]["subCode"] == 8583
        await connection.start_media_streaming()
        await on.acs.idle()
        await connection.stop_media_streaming()
        await on.acs.idle()
        assert on.listener.names()[5:] == ["MediaStreamingStarted", "MediaStreamingStopped"]


async def test_a_stream_that_ends_makes_no_room_for_a_prompt() -> None:
    """The prompt that waits still waits for the one before it."""
    async with line(replace(STAYS, media=3600.0)) as on:
        connection = await on.call(media_streaming=on.streaming(start_media_streaming=True))
        for _ in range(2):
            await connection.play_media(sdk.FileSource("https://app.example.com/hello.wav"))
        await connection.stop_media_streaming()
        await on.listener.until(lambda: "MediaStreamingStopped" in on.listener.names())
        assert (len(on.acs.calls[0].queue), on.listener.names().count("PlayStarted")) == (1, 1)


async def test_a_stream_that_opens_too_late_closes_at_once() -> None:
    """The call has ended while the app's server took its time: nothing is reported of the stream."""
    async with line() as on:
        connection = await on.call(media_streaming=on.streaming())
        on.listener.door.clear()
        await connection.start_media_streaming()
        await on.listener.until(lambda: on.listener.knocks == 1)
        await connection.hang_up(True)
        await on.listener.until(lambda: "CallDisconnected" in on.listener.names())
        on.listener.door.set()
        await on.listener.until(lambda: on.listener.closed == 1)
        await on.acs.idle()
        assert on.listener.names()[2:] == ["CallDisconnected"]


async def test_an_app_that_closes_its_socket_has_lost_the_stream() -> None:
    """The event says so, and the stream may start again."""
    async with line() as on:
        on.listener.patience = 3
        connection = await on.call(media_streaming=on.streaming(start_media_streaming=True))
        await on.listener.until(lambda: "MediaStreamingFailed" in on.listener.names())
        failure = on.listener.last("MediaStreamingFailed")
        assert (failure["resultInformation"]["subCode"], failure["mediaStreamingUpdate"]) == (
            8603,
            {
                "contentType": "Audio",
                "mediaStreamingStatus": "mediaStreamingFailed",
                "mediaStreamingStatusDetails": "streamConnectionInterrupted",
            },
        )
        await on.acs.idle()
        assert await on.state() == ("inactive", None)
        on.listener.patience = 1000
        await connection.start_media_streaming()
        await on.acs.idle()
        assert await on.state() == ("active", None)


@pytest.mark.parametrize(("intermediate", "texts"), [
    (False, [("Hello there.", "Final"), ("Yes.", "Final")]),
    (True, [("Hello", "Intermediate"), ("Hello there.", "Final"), ("Yes.", "Final")]),
])  # fmt: skip
async def test_a_transcription_has_the_words_of_the_scenario(intermediate: bool, texts: list[tuple[str, str]]) -> None:
    """Metadata first; then each sentence, with its words' times in ticks of 100 ns."""
    async with line() as on:
        options = on.transcription(enable_intermediate_results=intermediate)
        connection = await on.call(transcription=options)
        await connection.start_transcription(locale="en-AU", operation_context="words")
        await on.acs.idle()
        await on.listener.until(lambda: len(on.listener.frames) == 1 + len(texts))
        [call] = on.acs.calls
        properties = await connection.get_call_properties()
        subscription = properties.transcription_subscription
        kinds = ["intermediate", "final"] if intermediate else ["final"]
        assert (subscription.state, subscription.subscribed_result_types) == ("active", kinds)
        assert subscription.locale == "en-AU"
        assert on.listener.frames[0] == {
            "kind": "TranscriptionMetadata",
            "transcriptionMetadata": {
                "subscriptionId": subscription.id,
                "locale": "en-AU",
                "callConnectionId": call.call_connection_id,
                "correlationId": call.correlation_id,
            },
        }
        said = on.listener.data("TranscriptionData")
        assert [(each["text"], each["resultStatus"]) for each in said] == texts
        assert said[-1] == {
            "text": "Yes.",
            "format": "display",
            "offset": 6_000_000,
            "duration": 3_000_000,
            "confidence": 0.95,
            "words": [{"text": "Yes.", "offset": 6_000_000, "duration": 3_000_000}],
            "participantRawID": "4:+15550100002",
            "resultStatus": "Final",
        }
        await connection.update_transcription(locale="de-DE")
        await connection.stop_transcription()
        await on.acs.idle()
        assert on.listener.names()[2:] == ["TranscriptionStarted", "TranscriptionUpdated", "TranscriptionStopped"]
        assert call.subscriptions["Transcription"].locale == "de-DE"


async def test_a_custom_model_is_named_in_the_metadata(tmp_path: Path) -> None:
    """The client of 1.6 does not send the model's id; the wire has a name for it. The words come from a file."""
    file = tmp_path / "calls.toml"
    file.write_text('[scenarios.mine]\nlike = "connected"\nwords = ["Good day."]\n')
    async with line("mine", scenarios=file) as on:
        await on.call(transcription=on.transcription())
        [call] = on.acs.calls
        call.subscriptions["Transcription"].model = "model-1"
        await on.connection.start_transcription()
        await on.listener.until(lambda: len(on.listener.frames) == 2)
        [metadata] = on.listener.data("TranscriptionMetadata")
        assert metadata["speechRecognitionModelEndpointId"] == "model-1"
        assert on.listener.data("TranscriptionData")[0]["text"] == "Good day."


def none(on: Line) -> dict[str, Any]:
    return {}


def audio(on: Line) -> dict[str, Any]:
    return {"media_streaming": on.streaming()}


def text(on: Line) -> dict[str, Any]:
    return {"transcription": on.transcription()}


def nowhere(on: Line) -> dict[str, Any]:
    return {"media_streaming": on.streaming(transport_url=None)}


def elsewhere(url: str) -> Callable[[Line], dict[str, Any]]:
    return lambda on: {
        "media_streaming": on.streaming(transport_url=url),
        "transcription": on.transcription(transport_url=url),
    }


BROKEN = "ws://127.0.0.1:1/ws"


@pytest.mark.parametrize(
    ("options", "acts", "code", "subcode", "details"),
    [
        pytest.param(none, "start_media_streaming", 405, 8522, "streamUrlMissing", id="no options"),
        pytest.param(nowhere, "start_media_streaming", 405, 8522, "streamUrlMissing", id="no URL"),
        pytest.param(elsewhere(""), "start_media_streaming", 405, 8522, "streamUrlMissing", id="an empty URL"),
        pytest.param(none, "stop_media_streaming", 405, 8522, "streamUrlMissing", id="nothing to stop"),
        pytest.param(audio, "stop_media_streaming", 412, 8583, "badRequest", id="not started"),
        pytest.param(audio, "start_media_streaming start_media_streaming", 412, 8583, "badRequest", id="started twice"),
        pytest.param(
            elsewhere(BROKEN), "start_media_streaming", 400, 8581, "initialWebSocketConnectionFailed", id="no server"
        ),
        pytest.param(
            elsewhere("ws://app.example.com/ws"),
            "start_media_streaming",
            400,
            8581,
            "streamConnectionUnsuccessful",
            id="without TLS",
        ),
        pytest.param(none, "start_transcription", 405, 8522, "streamUrlMissing", id="no options for transcription"),
        pytest.param(text, "stop_transcription", 412, 8583, "badRequest", id="transcription not started"),
        pytest.param(text, "update_transcription", 412, 8583, "badRequest", id="nothing to update"),
        pytest.param(text, "update_transcription:", 400, 8523, "badRequest", id="no locale"),
        pytest.param(text, "update_transcription:en", 400, 8523, "badRequest", id="no region"),
        pytest.param(
            elsewhere(BROKEN), "start_transcription", 500, 8578, "streamConnectionUnsuccessful", id="no server for it"
        ),
        pytest.param(
            elsewhere("https://app.example.com/ws"),
            "start_transcription",
            400,
            8581,
            "streamConnectionUnsuccessful",
            id="no websocket URL",
        ),
    ],
)
async def test_a_stream_that_cannot_be_fails_with_an_event(
    options: Any, acts: str, code: int, subcode: int, details: str
) -> None:
    """The request is accepted; the event has a code of the documentation."""
    async with line() as on:
        connection = await on.call(**options(on))
        for act in acts.split():
            name, colon, locale = act.partition(":")
            given = {"locale": locale if colon else "en-US"} if name == "update_transcription" else {}
            await getattr(connection, name)(operation_context="mine", **given)
            await on.acs.idle()
        kind = "Transcription" if "transcription" in acts else "MediaStreaming"
        failure = on.listener.last(f"{kind}Failed")
        result = failure["resultInformation"]
        update = failure["transcriptionUpdate" if kind == "Transcription" else "mediaStreamingUpdate"]
        assert (result["code"], result["subCode"], failure["operationContext"]) == (code, subcode, "mine")
        name = kind[0].lower() + kind[1:]
        assert update[f"{name}Status"] == f"{name}Failed"
        assert update[f"{name}StatusDetails"] == details


async def test_a_start_with_the_call_fails_after_the_call_is_connected() -> None:
    """Transcription needs an endpoint of Cognitive Services; a call that is never connected starts nothing."""
    async with line() as on:
        options = on.transcription(start_transcription=True)
        await on.client.create_call(CALLEE, f"{on.origin}/cb", source_caller_id_number=CALLER, transcription=options)
        await on.acs.idle()
        assert on.listener.names() == ["CallConnected", "ParticipantsUpdated", "TranscriptionFailed"]
        assert on.listener.last("TranscriptionFailed")["resultInformation"]["message"] == (
            "Request not allowed when Cognitive Service Configuration not set during call setup."
        )
    async with line("busy") as on:
        await on.call(transcription=on.transcription(start_transcription=True))
        assert on.listener.names() == ["CallDisconnected", "CreateCallFailed"]


async def test_a_joined_call_keeps_its_locale() -> None:
    """ "UpdateTranscription is not supported for connection created with Connect interface"."""
    async with line() as on:
        joined = await on.client.connect_call(
            f"{on.origin}/cb",
            room_id="room-1",
            cognitive_services_endpoint=SPEECH,
            transcription=on.transcription(start_transcription=True),
        )
        await on.acs.idle()
        await on.client.get_call_connection(joined.call_connection_id).update_transcription(locale="de-DE")
        await on.acs.idle()
        assert on.listener.last("TranscriptionFailed")["resultInformation"]["subCode"] == 8520


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"content_type": "video"}, "mediaStreamingOptions.contentType is none of audio"),
        ({"audio_format": "mp3"}, "mediaStreamingOptions.audioFormat is none of pcm16KMono, pcm24KMono"),
        ({"audio_channel_type": ""}, "mediaStreamingOptions.audioChannelType is missing"),
    ],
)
async def test_wrong_options_are_refused_with_the_call(settings: dict[str, Any], said: str) -> None:
    """8523 names the option, what it may be, and no call begins."""
    async with line() as on:
        with pytest.raises(HttpResponseError, match=said) as raised:
            await on.call(media_streaming=on.streaming(**settings))
        assert raised.value.error is not None
        assert (raised.value.error.code, on.acs.calls) == ("8523", [])


async def test_a_connection_without_a_token() -> None:
    """A simulator that signs nothing; each connection is said, without its ids."""
    said: list[str] = []
    async with line(signed=False, say=said.append) as on:
        connection = await on.call(media_streaming=on.streaming(transport_url=f"{on.socket}?code=elided"))
        await connection.start_media_streaming()
        await on.acs.idle()
        await connection.stop_media_streaming()
        await on.acs.idle()
        await on.listener.until(lambda: on.listener.closed == 1)
        assert "authorization" not in on.listener.headers
    url = f"{on.socket}?[...]"
    assert [each for each in said if "/ws" in each] == [
        f"-> MediaStreaming to {url}: open",
        f"-> MediaStreaming to {url}: closed, {len(on.listener.frames)} frames sent",
    ]


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_server_with_tls_needs_an_authority_that_is_trusted(tmp_path: Path, trusted: bool) -> None:
    """As a callback does."""
    files = certificate_in(tmp_path)
    listener = Listener()
    async with serving(
        listener.app, ws="wsproto", ssl_certfile=str(files.certificate), ssl_keyfile=str(files.key)
    ) as origin, line(listener=Listener(), callback_ca_file=files.ca_file if trusted else None) as on:  # fmt: skip
        url = f"{origin.replace('http', 'wss', 1)}/ws"
        connection = await on.call(media_streaming=on.streaming(transport_url=url))
        await connection.start_media_streaming()
        await on.acs.idle()
        assert await on.state() == ("active" if trusted else "inactive", None)
        assert on.listener.names()[-1] == ("MediaStreamingStarted" if trusted else "MediaStreamingFailed")


@pytest.mark.parametrize("allowed", [None, True, False])
async def test_wss_to_an_app_of_this_machine_without_tls(allowed: bool | None) -> None:
    """Samples make wss of the name of their own host, and a tunnel has the TLS; here nothing stands between."""
    said: list[str] = []

    async def take(*_: object) -> int:
        return 200

    async with line(say=said.append, allow_http=allowed, post=take) as on:
        secure = on.socket.replace("ws", "wss", 1)
        streaming = on.streaming(transport_url=secure, start_media_streaming=True)
        await on.client.create_call(
            CALLEE, "https://app.example.com/cb", source_caller_id_number=CALLER, media_streaming=streaming
        )
        await on.acs.idle()
        tried = f"-> {secure} speaks no TLS: trying {on.socket}"
        open_or_not = [each.rpartition(": ")[2] for each in said if each.startswith("-> MediaStreaming to")]
        if allowed is False:
            assert tried not in said
            assert open_or_not != ["open"]
        else:
            assert (said.count(tried), open_or_not) == (1, ["open"])
