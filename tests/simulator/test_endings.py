"""What is open in a call ends with an event of its own, with its own context and address, before the call ends."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from azure.communication.callautomation import CommunicationUserIdentifier, FileSource
from azure.communication.callautomation.aio import CallAutomationClient

from ringback.simulator import SCENARIOS, Simulator, Step
from ringback.simulator.turns import Open, closing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

USER = CommunicationUserIdentifier("8:acs:5ac0ffee-0000-4000-8000-000000000001_1f0e5c1a-0000-4000-8000-000000000001")
URL = "https://app.example.com/cb"
OWN = "https://app.example.com/prompts"
HELLO = FileSource("https://app.example.com/hello.wav")
ENDLESS = replace(SCENARIOS["connected"], name="endless", media=36000.0)


class Endpoint:
    """Takes every callback; calls ``on_connected`` while CallConnected waits for its answer."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str | None, str]] = []
        self.loop = asyncio.get_running_loop()
        self.on_connected: Callable[[], Awaitable[Any]] | None = None

    async def post(self, uri: str, body: bytes, _: Mapping[str, str]) -> int:
        [event] = json.loads(body)
        name = event["type"].rpartition(".")[2]
        self.told.append((name, event["data"].get("operationContext"), uri))
        if name == "CallConnected" and self.on_connected is not None:
            # The simulator has a loop of its own.
            future = asyncio.run_coroutine_threadsafe(self._connected(), self.loop)
            await asyncio.wrap_future(future)
        return 200

    async def _connected(self) -> None:
        assert self.on_connected is not None
        await self.on_connected()


async def hang_up(connection: Any) -> None:
    await connection.hang_up(False)


async def terminate(connection: Any) -> None:
    await connection.hang_up(True)


async def transfer(connection: Any) -> None:
    await connection.transfer_call_to_participant(USER)


async def wait(connection: Any) -> None:
    """The scenario itself ends the call."""


BEFORE = ("CallConnected", "ParticipantsUpdated", "PlayStarted")
ENDED = ("CallDisconnected", "call", URL)
TRANSFERRED = [("CallTransferAccepted", None, URL), ("PlayCanceled", "hello", OWN), ENDED, ENDED]


@pytest.mark.parametrize(
    ("end", "scenario", "expected"),
    [
        pytest.param(hang_up, ENDLESS, [("PlayCanceled", "hello", OWN), ENDED], id="hang up"),
        pytest.param(terminate, ENDLESS, [("PlayCanceled", "hello", OWN), ENDED], id="terminate"),
        pytest.param(transfer, ENDLESS, TRANSFERRED, id="transfer"),
        pytest.param(
            wait,
            replace(SCENARIOS["network_drop"], name="dropped", media=36000.0),
            [("PlayCanceled", "hello", OWN), ENDED],
            id="scenario",
        ),
    ],
)
async def test_what_is_open_ends_before_the_call(end: Any, scenario: Any, expected: Any) -> None:
    """Once, however the call ends; what was to come does not come."""
    endpoint = Endpoint()
    acs = Simulator(scenario, post=endpoint.post, latency=(0, 0))
    async with acs, CallAutomationClient(acs.url, acs.credential, retry_total=0) as client:
        placed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        playing = asyncio.Event()

        async def play() -> None:
            connection = client.get_call_connection((await placed).call_connection_id)
            await connection.play_media(HELLO, operation_context="hello", operation_callback_url=OWN)
            playing.set()

        endpoint.on_connected = play
        placed.set_result(await client.create_call(USER, URL, operation_context="call"))
        await playing.wait()
        await end(client.get_call_connection(placed.result().call_connection_id))
        await acs.idle()
        happened = [each for each in endpoint.told if each[0] not in BEFORE]
        assert happened == expected
        assert acs.calls[0].open == {}


async def test_what_closes_is_released_once_in_either_way() -> None:
    """By a step of any script, or by the end of the call."""
    released: list[str] = []
    acs = Simulator(SCENARIOS["connected"], post=Endpoint().post, latency=(0, 0))
    async with acs, CallAutomationClient(acs.url, acs.credential) as client:
        await client.create_call(USER, URL)
        await acs.idle()
        [call] = acs.calls
        for name in ("a", "b", "other"):
            step = Step(event="MediaStreamingStopped")
            call.open[name] = Open(step, URL, name, release=lambda name=name: released.append(name))
        assert call.close("nothing") is None
        assert [script.context for script in closing(call, "oth")] == ["other"]
        call.close("b")
        assert [(script.key, script.uri) for script in closing(call)] == [(f"{call.call_connection_id}/a", URL)]
        assert (released, closing(call)) == (["other", "b", "a"], ())
