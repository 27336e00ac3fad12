"""Every method of the real client that the simulator serves, and the errors that it raises."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from azure.communication.callautomation import (
    CommunicationUserIdentifier,
    DtmfTone,
    FileSource,
    MicrosoftTeamsUserIdentifier,
    PhoneNumberIdentifier,
    RecognizeInputType,
    UnknownIdentifier,
)
from azure.communication.callautomation.aio import CallAutomationClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)

from newer_client import newer
from ringback.simulator import SCENARIOS, Scenario, Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

CALLER = PhoneNumberIdentifier("+15550100001")
CALLEE = PhoneNumberIdentifier("+15550100002")
OTHER = PhoneNumberIdentifier("+15550100003")
USER = CommunicationUserIdentifier("8:acs:5ac0ffee-0000-4000-8000-000000000001_1f0e5c1a-0000-4000-8000-000000000001")
TEAMS = MicrosoftTeamsUserIdentifier("1f0e5c1a-0000-4000-8000-000000000002")
URL = "https://app.example.com/cb?token=elided"
HELLO = FileSource("https://app.example.com/hello.wav")


class Endpoint:
    """Takes every callback without a socket."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.uris: list[str] = []
        self.came = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def post(self, uri: str, body: bytes, _: Mapping[str, str]) -> int:
        self.uris.append(uri)
        self.events += json.loads(body)
        # The simulator has a loop of its own.
        self._loop.call_soon_threadsafe(self.came.set)
        return 200

    def names(self) -> list[str]:
        return [event["type"].rpartition(".")[2] for event in self.events]


class Line:
    """A call that is connected, and what came of it."""

    def __init__(self, acs: Simulator, client: CallAutomationClient, endpoint: Endpoint) -> None:
        self.acs, self.client, self.endpoint = acs, client, endpoint
        self.connection: Any = None

    async def call(self, target: Any = CALLEE, **settings: Any) -> Any:
        placed = await self.client.create_call(target, URL, source_caller_id_number=CALLER, **settings)
        await self.acs.idle()
        self.endpoint.events.clear()
        self.endpoint.uris.clear()
        self.connection = self.client.get_call_connection(placed.call_connection_id)
        return self.connection

    async def posted(self, name: str) -> None:
        """Wait until an event of this name has come."""
        async with asyncio.timeout(10):
            while name not in self.endpoint.names():
                self.endpoint.came.clear()
                await self.endpoint.came.wait()

    async def told(self) -> list[tuple[str, int | None, str | None]]:
        """The events since the call was connected: name, subcode, operation context."""
        await self.acs.idle()
        return [
            (name, event["data"].get("resultInformation", {}).get("subCode"), event["data"].get("operationContext"))
            for name, event in zip(self.endpoint.names(), self.endpoint.events, strict=True)
        ]


SLOW = replace(SCENARIOS["connected"], name="slow", media=36000.0, tones="1#")
QUICK = replace(SCENARIOS["connected"], name="quick", media=0.0)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    async for each in lines(QUICK):
        yield each


async def lines(scenario: Scenario | str) -> AsyncIterator[Line]:
    endpoint = Endpoint()
    acs = Simulator(scenario, post=endpoint.post, latency=(0, 0), seed=7)
    async with acs, CallAutomationClient(acs.url, acs.credential, retry_total=0) as client:
        yield Line(acs, client, endpoint)


async def test_a_call_has_its_properties(line: Line) -> None:
    """Those that were given, those that the service adds, and the state."""
    placed = await line.client.create_call(
        CALLEE, URL, source_caller_id_number=CALLER, source_display_name="Ringback", operation_context="order-1"
    )
    [call] = line.acs.calls
    assert (placed.call_connection_state, placed.call_connection_id) == ("connecting", call.call_connection_id)
    await line.acs.idle()
    got = await line.client.get_call_connection(placed.call_connection_id).get_call_properties()
    assert got.targets is not None
    assert got.source_caller_id_number is not None
    assert (
        got.call_connection_state,
        got.server_call_id,
        got.correlation_id,
        got.callback_url,
        got.targets[0].raw_id,
        got.source_caller_id_number.properties["value"],
    ) == ("connected", call.server_call_id, call.correlation_id, URL, "4:+15550100002", "+15550100001")
    assert [event["data"].get("operationContext") for event in line.endpoint.events] == ["order-1", None]
    assert "+1555" not in repr(call)


@newer
async def test_a_group_call_has_all_its_targets(line: Line) -> None:
    """People on the phone, of the app and of Teams."""
    targets = [CALLEE, USER, TEAMS, UnknownIdentifier("29:somebody"), UnknownIdentifier("4:+15550100009")]
    with pytest.deprecated_call():
        placed = await line.client.create_group_call(targets, URL, source_caller_id_number=CALLER)
    await line.acs.idle()
    connection = line.client.get_call_connection(placed.call_connection_id)
    found = [each.identifier.raw_id async for each in connection.list_participants() if each.identifier]
    assert found == [each.raw_id for each in targets]
    assert (await connection.get_participant(USER)).is_muted is False
    assert (await connection.get_participant(CALLEE)).is_on_hold is False


@pytest.mark.parametrize(("everyone", "subcode"), [(False, 5001), (True, 7000)])
async def test_hanging_up_ends_the_call(line: Line, everyone: bool, subcode: int) -> None:
    """One event; afterwards there is no such call."""
    connection = await line.call()
    await connection.hang_up(everyone)
    assert await line.told() == [("CallDisconnected", subcode, None)]
    with pytest.raises(ResourceNotFoundError) as raised:
        await connection.get_call_properties()
    assert raised.value.error is not None
    assert raised.value.error.code == "8522"
    assert line.acs.calls[0].ended


async def test_hanging_up_stops_what_was_to_come() -> None:
    """A callee that would have talked on does not hang up as well; one that rings is canceled."""
    first, *others = SCENARIOS["answered"].steps
    rings = replace(SCENARIOS["answered"], name="rings", steps=(replace(first, after=36000.0), *others))
    async for line in lines(rings):
        placed = await line.client.create_call(CALLEE, URL, source_caller_id_number=CALLER)
        await line.client.get_call_connection(placed.call_connection_id).hang_up(True)
        assert await line.told() == [("CallDisconnected", 0, None)]


async def test_hanging_up_leaves_other_calls_alone() -> None:
    """What they still have to come comes."""
    async for line in lines("answered"):
        placed = [await line.client.create_call(CALLEE, URL, source_caller_id_number=CALLER) for _ in range(2)]
        await line.client.get_call_connection(placed[0].call_connection_id or "").hang_up(True)
        await line.acs.idle()
        ended = [event["data"] for event in line.endpoint.events if event["type"].endswith("CallDisconnected")]
        subcodes = {data["callConnectionId"]: data["resultInformation"]["subCode"] for data in ended}
        # The app hangs up while the call rings, or, on a slow machine, just after somebody has picked up.
        assert subcodes.pop(placed[0].call_connection_id) in (0, 7000)
        assert subcodes == {placed[1].call_connection_id: 560000}


@newer
async def test_connecting_to_a_call_that_is_there(line: Line) -> None:
    """By its server call id; the leg is one of its own."""
    await line.call()
    joined = await line.client.connect_call(URL, server_call_id=line.acs.calls[0].server_call_id)
    assert (joined.server_call_id, len(line.acs.calls)) == (line.acs.calls[0].server_call_id, 2)
    assert await line.told() == [("CallConnected", 0, None), ("ParticipantsUpdated", 0, None)]
    assert (await line.client.connect_call(URL, room_id="room-1")).server_call_id != joined.server_call_id


@newer
async def test_connecting_may_fail() -> None:
    """With an event of its own."""
    async for line in lines("busy"):
        await line.client.connect_call(URL, group_call_id="1f0e5c1a-0000-4000-8000-000000000003")
        assert await line.told() == [("CallDisconnected", 540486, None), ("ConnectFailed", 540486, None)]


@newer
async def test_media_is_played_and_keys_are_recognized(line: Line) -> None:
    """Played to one and then to all; the callee presses as many keys as are asked for."""
    connection = await line.call()
    await connection.play_media(HELLO, [CALLEE], operation_context="hello")
    with pytest.deprecated_call():
        await connection.play_media_to_all([HELLO])
    played = [("PlayStarted", 0, "hello"), ("PlayCompleted", 0, "hello"), ("PlayStarted", 0, None)]
    assert await line.told() == [*played, ("PlayCompleted", 0, None)]
    await connection.start_recognizing_media(RecognizeInputType.DTMF, CALLEE, dtmf_max_tones_to_collect=1)
    assert (await line.told())[4:] == [("RecognizeCompleted", 8531, None)]


async def test_pressed_keys_are_reported() -> None:
    """Those of the scenario; what is no key is passed over."""
    async for line in lines(replace(SLOW, media=0.0)):
        connection = await line.call()
        await connection.start_recognizing_media(RecognizeInputType.DTMF, CALLEE, dtmf_max_tones_to_collect=2)
        assert await line.told() == [("RecognizeCompleted", 8531, None)]
        assert line.endpoint.events[0]["data"]["dtmfResult"] == {"tones": ["one", "pound"]}
        await connection.start_continuous_dtmf_recognition(CALLEE)
        await line.acs.idle()
        received = [event["data"] for event in line.endpoint.events[1:]]
        assert [(each["tone"], each["sequenceId"]) for each in received] == [("one", 1), ("pound", 2)]
        await connection.stop_continuous_dtmf_recognition(CALLEE, operation_context="stop")
        assert (await line.told())[-1] == ("ContinuousDtmfRecognitionStopped", 0, "stop")


@newer
async def test_media_can_be_canceled() -> None:
    """Whatever is under way, each with its own event; the end of it does not come."""
    async for line in lines(SLOW):
        connection = await line.call()
        await connection.play_media(HELLO, operation_context="hello")
        await line.posted("PlayStarted")
        await connection.start_recognizing_media(RecognizeInputType.DTMF, CALLEE, dtmf_max_tones_to_collect=1)
        await connection.cancel_all_media_operations()
        canceled = [("PlayCanceled", 8508, "hello"), ("RecognizeCanceled", 8508, None)]
        assert await line.told() == [("PlayStarted", 0, "hello"), *canceled]


async def test_tones_are_sent(line: Line) -> None:
    """To one participant."""
    connection = await line.call()
    await connection.send_dtmf_tones([DtmfTone.ONE], CALLEE, operation_context="tones")
    assert await line.told() == [("SendDtmfTonesCompleted", 0, "tones")]


# Calls that come in


async def ring(line: Line, **settings: Any) -> tuple[Any, str]:
    incoming = await line.acs.incoming("https://app.example.com/grid", **settings)
    assert (incoming.status, incoming.state) == (200, "ringing")
    event = line.endpoint.events.pop()
    return incoming, event["data"]["incomingCallContext"]


async def test_an_incoming_call_is_answered(line: Line) -> None:
    """It has the ids that the event told; the person who calls is in it."""
    incoming, context = await ring(line, display_name="Somebody", scenario="connected")
    answered = await line.client.answer_call(context, URL, operation_context="in-1")
    assert (incoming.state, incoming.call.call_connection_id) == ("answered", answered.call_connection_id)
    assert (answered.server_call_id, answered.correlation_id) == (incoming.server_call_id, incoming.correlation_id)
    assert await line.told() == [("CallConnected", 0, "in-1"), ("ParticipantsUpdated", 0, None)]
    connection = line.client.get_call_connection(answered.call_connection_id or "")
    assert [each.identifier.raw_id async for each in connection.list_participants()] == ["4:+15550100001"]
    with pytest.raises(ResourceNotFoundError):
        await line.client.answer_call(context, URL)


async def test_answering_may_fail(line: Line) -> None:
    """With AnswerFailed, and the subcodes of incoming calls."""
    _, context = await ring(line, scenario="busy")
    await line.client.answer_call(context, URL)
    assert await line.told() == [("CallDisconnected", 540486, None), ("AnswerFailed", 540486, None)]
    _, context = await ring(line, scenario=SCENARIOS["unavailable"])
    with pytest.raises(HttpResponseError) as raised:
        await line.client.answer_call(context, URL)
    assert raised.value.status_code == 503


async def test_an_incoming_call_is_rejected_or_redirected(line: Line) -> None:
    """No callback is posted to the app that does so."""
    incoming, context = await ring(line, caller="+15550100201")
    await line.client.reject_call(context, call_reject_reason="busy")
    assert (incoming.state, incoming.reason) == ("rejected", "busy")
    incoming, context = await ring(line)
    await line.client.redirect_call(context, OTHER)
    assert (incoming.state, incoming.redirected_to["rawId"]) == ("redirected", OTHER.raw_id)
    assert await line.told() == []


# Errors


async def op(line: Line, name: str, *arguments: Any) -> Any:
    return await getattr(await line.call(), name)(*arguments)


@pytest.mark.parametrize(
    ("act", "status", "code"),
    [
        pytest.param(
            lambda line: line.client.create_call(CALLEE, "http://app.example.com/cb", source_caller_id_number=CALLER),
            400,
            "8523",
            id="http",
        ),
        pytest.param(lambda line: line.client.create_call(USER, "app"), 400, "8523", id="no address"),
        pytest.param(lambda line: line.client.create_call(USER, "https://[x/"), 400, "8523", id="broken address"),
        pytest.param(lambda line: line.client.create_call(CALLEE, URL), 400, "8523", id="no caller id"),
        pytest.param(lambda line: line.client.create_call([], URL), 400, "8523", id="no target"),
        pytest.param(
            lambda line: line.client.create_call(CommunicationUserIdentifier(""), URL), 400, "8523", id="nobody"
        ),
        pytest.param(lambda line: line.client.answer_call("unheard-of", URL), 400, "8523", id="no such context"),
        pytest.param(lambda line: line.client.get_call_connection("x").hang_up(True), 404, "8522", id="no such call"),
        pytest.param(lambda line: op(line, "play_media", []), 400, "8523", id="nothing to play", marks=newer),
        pytest.param(lambda line: op(line, "send_dtmf_tones", [], CALLEE), 400, "8523", id="no tones"),
        pytest.param(lambda line: line.client.stop_recording("recording"), 404, "8522", id="no such recording"),
    ],
)
async def test_what_the_service_refuses_is_refused(line: Line, act: Any, status: int, code: str) -> None:
    """The client raises the documented code."""
    with pytest.raises(HttpResponseError) as raised:
        await act(line)
    assert raised.value.error is not None
    assert (raised.value.status_code, raised.value.error.code) == (status, code)


async def test_a_call_that_still_rings_takes_no_actions() -> None:
    """8501: not established."""
    async for line in lines("ringing"):
        connection = await line.call()
        with pytest.raises(HttpResponseError) as raised:
            await connection.play_media(HELLO)
        assert raised.value.error is not None
        assert (raised.value.status_code, raised.value.error.code) == (400, "8501")


async def test_a_wrong_key_is_refused(line: Line) -> None:
    """401, whatever is asked."""
    wrong = AzureKeyCredential("d3Jvbmcta2V5LW9mLXNvbWVib2R5LWVsc2U=")
    async with CallAutomationClient(line.acs.url, wrong) as client:
        with pytest.raises(ClientAuthenticationError) as raised:
            await client.create_call(USER, URL)
    assert raised.value.error is not None
    assert (raised.value.status_code, raised.value.error.code) == (401, "Unauthorized")


@pytest.mark.parametrize(("status", "code"), [(409, "Conflict"), (429, "TooManyRequests"), (500, "mine")])
async def test_the_next_requests_fail_on_demand(line: Line, status: int, code: str) -> None:
    """So many times, with Retry-After and a code of one's own where they are given."""
    line.acs.fail_next(status, retry_after=2, times=2, code="mine" if status == 500 else "", message="elided")
    for _ in range(2):
        with pytest.raises(HttpResponseError) as raised:
            await line.client.create_call(USER, URL)
        assert raised.value.response is not None
        assert raised.value.error is not None
        assert isinstance(raised.value, ResourceExistsError) is (status == 409)
        told = raised.value.status_code, raised.value.error.code, raised.value.response.headers["retry-after"]
        assert told == (status, code, "2")
    assert (await line.client.create_call(USER, URL)).call_connection_state == "connecting"


async def test_the_client_tries_again_as_it_does_in_production(line: Line) -> None:
    """One 429, then the call: placed once."""
    line.acs.fail_next(429, retry_after=0)
    async with CallAutomationClient(line.acs.url, line.acs.credential, retry_backoff_factor=0) as client:
        await client.create_call(USER, URL)
    assert len(line.acs.calls) == 1


# The same request twice

FIRST_SENT = "Sat, 21 Nov 2026 08:00:00 GMT"
SENT_AT = 1795248000.0


async def test_a_repeated_request_places_one_call() -> None:
    """The same answer within five minutes, 400 for another request, 412 too late; the callbacks come once."""
    now = SENT_AT
    endpoint = Endpoint()
    acs = Simulator("busy", post=endpoint.post, clock=lambda: now)
    async with acs, CallAutomationClient(acs.url, acs.credential, retry_total=0) as client:

        async def place(target: Any, number: int = 1, sent: str = FIRST_SENT) -> Any:
            key = f"1F0E5C1A-0000-4000-8000-{number:012}"
            headers = {"Repeatability-Request-ID": key, "Repeatability-First-Sent": sent}
            return await client.create_call(target, URL, headers=headers)

        first = await place(USER)
        now += 299
        assert (await place(USER)).call_connection_id == first.call_connection_id
        with pytest.raises(HttpResponseError) as raised:
            await place(TEAMS)
        assert raised.value.status_code == 400
        with pytest.raises(HttpResponseError) as raised:
            await place(USER, sent="yesterday")
        assert raised.value.status_code == 400
        now += 2
        with pytest.raises(HttpResponseError) as raised:
            await place(USER)
        assert raised.value.status_code == 412
        await place(USER, 2, "Sat, 21 Nov 2026 08:04:00 GMT")
        await acs.idle()
        assert len(acs.calls) == 2
        assert sorted(endpoint.names()) == ["CallDisconnected"] * 2 + ["CreateCallFailed"] * 2


async def test_a_refused_request_may_be_repeated() -> None:
    """A 429 is not what the request is answered with for ever."""
    now = SENT_AT
    acs = Simulator(clock=lambda: now, post=Endpoint().post)
    async with acs, CallAutomationClient(acs.url, acs.credential, retry_total=0) as client:
        headers = {
            "Repeatability-Request-ID": "1f0e5c1a-0000-4000-8000-000000000009",
            "Repeatability-First-Sent": FIRST_SENT,
        }
        acs.fail_next(503)
        with pytest.raises(HttpResponseError):
            await client.create_call(USER, URL, headers=dict(headers))
        await client.create_call(USER, URL, headers=dict(headers))
        assert len(acs.calls) == 1
