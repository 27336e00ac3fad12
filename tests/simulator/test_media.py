"""Prompts and recognitions of a call in their order: started, queued, interrupted, canceled, failed, over."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from azure.communication.callautomation import (
    CommunicationUserIdentifier,
    DtmfTone,
    FileSource,
    RecognitionChoice,
    RecognizeInputType,
    TextSource,
)
from azure.communication.callautomation.aio import CallAutomationClient
from azure.core.exceptions import HttpResponseError

from newer_client import newer
from ringback.simulator import SCENARIOS, Scenario, Simulator, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

# Older releases ask for an API version without PlayStarted.
pytestmark = newer

USER = CommunicationUserIdentifier("8:acs:5ac0ffee-0000-4000-8000-000000000001_1f0e5c1a-0000-4000-8000-000000000001")
URL = "https://app.example.com/cb"
HELLO = FileSource("https://app.example.com/hello.wav")
CONNECTED = SCENARIOS["connected"]
QUICK = replace(CONNECTED, name="quick", media=0.0)
ENDLESS = replace(CONNECTED, name="endless", media=36000.0)


class Talk:
    """A call and the events that came of it; ``on`` are what the app does with an event before it answers."""

    def __init__(self, **on: Callable[[Any], Awaitable[Any]]) -> None:
        self.events: list[dict[str, Any]] = []
        self.on = on
        self.came = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.acs: Any = None
        self.client: Any = None

    async def post(self, _uri: str, body: bytes, _: Mapping[str, str]) -> int:
        # The simulator has a loop of its own.
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._take(*json.loads(body)), self.loop))
        return 200

    async def _take(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        self.came.set()
        act = self.on.get(event["type"].rpartition(".")[2])
        if act is not None:
            await act(self.client.get_call_connection(event["data"]["callConnectionId"]))

    async def heard(self, name: str, times: int = 1) -> None:
        """Wait for an event."""
        async with asyncio.timeout(10):
            while [each for each, _, _ in self.told()].count(name) < times:
                self.came.clear()
                await self.came.wait()

    def told(self) -> list[tuple[str, int, str | None]]:
        """Name, subcode and operation context of the events after the call was connected."""
        return [
            (name, event["data"]["resultInformation"]["subCode"], event["data"].get("operationContext"))
            for event in self.events
            if (name := event["type"].rpartition(".")[2]) not in ("CallConnected", "ParticipantsUpdated")
        ]

    async def over(self) -> list[tuple[str, int, str | None]]:
        await self.acs.idle()
        return self.told()


@asynccontextmanager
async def talking(
    scenario: Scenario | str, *, sleep: Any = asyncio.sleep, **on: Callable[[Any], Awaitable[Any]]
) -> AsyncIterator[tuple[Talk, Any]]:
    """A call that is connected, and its client."""
    talk = Talk(**on)
    acs = Simulator(scenario, post=talk.post, latency=(0, 0), seed=7, sleep=sleep)
    async with acs, CallAutomationClient(acs.url, acs.credential, retry_total=0) as client:
        talk.acs, talk.client = acs, client
        placed = await client.create_call(USER, URL)
        async with asyncio.timeout(10):
            while acs.calls[0].state != "connected" and not acs.calls[0].ended:
                await talk.came.wait()
                talk.came.clear()
        yield talk, client.get_call_connection(placed.call_connection_id or "")


def prompt(name: str, subcode: int = 0) -> list[tuple[str, int, str | None]]:
    return [("PlayStarted", 0, name), ("PlayCompleted", subcode, name)]


async def test_prompts_play_one_after_the_other() -> None:
    """In the order of the requests; a recognition takes its turn among them and starts nothing."""
    async with talking(QUICK) as (talk, connection):
        await connection.play_media(HELLO, operation_context="a")
        await connection.play_media([HELLO, TextSource(text="Good day.")], operation_context="b")
        await connection.start_recognizing_media(RecognizeInputType.SPEECH, USER, operation_context="c")
        await connection.play_media(HELLO, operation_context="d")
        assert await talk.over() == [*prompt("a"), *prompt("b"), ("RecognizeCompleted", 8569, "c"), *prompt("d")]


async def test_a_prompt_may_take_the_place_of_what_plays() -> None:
    """What played and what waited is canceled first, each with its own context."""
    async with talking(ENDLESS) as (talk, connection):
        await connection.play_media(HELLO, operation_context="a")
        await connection.start_recognizing_media(RecognizeInputType.SPEECH, USER, operation_context="b")
        await talk.heard("PlayStarted")
        await connection.play_media(HELLO, operation_context="c", interrupt_call_media_operation=True)
        await talk.heard("PlayStarted", 2)
        canceled = [("PlayCanceled", 8508, "a"), ("RecognizeCanceled", 8508, "b")]
        assert talk.told() == [("PlayStarted", 0, "a"), *canceled, ("PlayStarted", 0, "c")]


async def test_a_recognition_may_take_the_place_of_what_plays() -> None:
    """As the menu that a caller hears over the music."""
    async with talking(replace(ENDLESS, media=None)) as (talk, connection):
        await connection.play_media(HELLO, loop=True, operation_context="music")
        await talk.heard("PlayStarted")
        await connection.start_recognizing_media(
            RecognizeInputType.SPEECH, USER, operation_context="menu", interrupt_call_media_operation=True
        )
        started = ("PlayStarted", 0, "music")
        assert await talk.over() == [started, ("PlayCanceled", 8508, "music"), ("RecognizeCompleted", 8569, "menu")]


async def test_a_looped_prompt_has_no_end_of_its_own() -> None:
    """What comes after it waits until the app cancels both; then the call is open for more."""
    async with talking(QUICK) as (talk, connection):
        await connection.cancel_all_media_operations()
        await connection.play_media(HELLO, loop=True, operation_context="music")
        await connection.play_media(HELLO, operation_context="waits")
        assert await talk.over() == [("PlayStarted", 0, "music")]
        await connection.cancel_all_media_operations()
        canceled = [("PlayCanceled", 8508, "music"), ("PlayCanceled", 8508, "waits")]
        assert await talk.over() == [("PlayStarted", 0, "music"), *canceled]
        await connection.play_media(HELLO, operation_context="after")
        assert (await talk.over())[3:] == prompt("after")


async def test_an_old_api_version_has_no_start_of_a_prompt() -> None:
    """PlayStarted came with 2024-06-15-preview."""
    async with talking(replace(QUICK, version="2024-04-15")) as (talk, connection):
        await connection.play_media(HELLO, operation_context="a")
        assert await talk.over() == prompt("a")[1:]


async def test_a_scenario_may_say_how_operations_end() -> None:
    """Of several results for one operation, each takes the next and the last serves all others."""
    failed = Step(event="PlayFailed", code=400, subcode=8536, fields={"failed_play_source_index": 1})
    unheard = Step(event="RecognizeFailed", code=500, subcode=8511, fields={"failed_play_source_index": 0})
    scenario = replace(QUICK, results=(failed, unheard, Step(event="PlayCompleted", after=1.0)))
    async with talking(scenario) as (talk, connection):
        for name in ("a", "b"):
            await connection.play_media([HELLO, HELLO], operation_context=name)
        for name in ("c", "d"):
            await connection.start_recognizing_media(RecognizeInputType.SPEECH, USER, operation_context=name)
        recognized = [("RecognizeFailed", 8511, name) for name in ("c", "d")]
        assert await talk.over() == [("PlayFailed", 8536, "a"), *prompt("b"), *recognized]
        data = talk.events[-5]["data"]
        assert (data["failedPlaySourceIndex"], data["operationContext"]) == (1, "a")
        assert data["resultInformation"]["message"] == "Action failed, file could not be downloaded."


async def test_a_callee_answers_one_question_after_the_other() -> None:
    """Nothing at first, then a choice; the last answer serves all further questions."""
    scenario = replace(QUICK, choice=("", "cancel"))
    choices = [RecognitionChoice(label=label, phrases=[label], tone=DtmfTone.ONE) for label in ("Confirm", "Cancel")]
    async with talking(scenario) as (talk, connection):
        for _ in range(3):
            await connection.start_recognizing_media(RecognizeInputType.CHOICES, USER, choices=choices)
        answered = ("RecognizeCompleted", 8545, None)
        assert await talk.over() == [("RecognizeFailed", 8510, None), answered, answered]
        assert talk.events[-1]["data"]["choiceResult"]["label"] == "Cancel"


async def menu(connection: Any) -> None:
    choices = [RecognitionChoice(label=label, phrases=[label]) for label in ("Confirm", "Cancel")]
    await connection.start_recognizing_media(
        RecognizeInputType.CHOICES,
        USER,
        choices=choices,
        play_prompt=TextSource(text="Yes or no?"),
        operation_context="menu",
    )


async def thanks(connection: Any) -> None:
    await connection.play_media(TextSource(text="Thank you for that."), operation_context="thanks")


async def good_bye(connection: Any) -> None:
    await connection.hang_up(True)


async def nothing(_: Any) -> None: ...


@pytest.mark.parametrize(
    ("scenario", "recognized", "last", "subcode"),
    [
        pytest.param("answered", ("RecognizeCompleted", 8545, "menu"), good_bye, 7000, id="the app hangs up"),
        pytest.param("answered", ("RecognizeCompleted", 8545, "menu"), nothing, 560000, id="the callee hangs up"),
        pytest.param("silent", ("RecognizeFailed", 8510, "menu"), nothing, 560000, id="silence"),
        pytest.param("no_match", ("RecognizeFailed", 8547, "menu"), nothing, 560000, id="no match"),
    ],
)
async def test_a_call_lasts_until_nothing_more_comes(scenario: str, recognized: Any, last: Any, subcode: int) -> None:
    """A menu, an answer, and then somebody hangs up, as in the public outbound sample."""
    on: dict[str, Any] = {"CallConnected": menu, "RecognizeCompleted": thanks, "RecognizeFailed": thanks}
    async with talking(scenario, **on, PlayCompleted=last) as (talk, _):
        assert await talk.over() == [recognized, *prompt("thanks"), ("CallDisconnected", subcode, None)]


async def test_a_callee_waits_for_an_app_that_has_not_answered() -> None:
    """A callback without an answer is no quiet call."""
    naps, loop = asyncio.Semaphore(0), asyncio.get_running_loop()

    async def nap(_: float) -> None:
        loop.call_soon_threadsafe(naps.release)
        await asyncio.sleep(0.001)

    async def slow(connection: Any) -> None:
        async with asyncio.timeout(10):
            for _ in range(50):
                await naps.acquire()
        await thanks(connection)

    async with talking("answered", sleep=nap, CallConnected=menu, RecognizeCompleted=slow) as (talk, _):
        ended = [*prompt("thanks"), ("CallDisconnected", 560000, None)]
        assert await talk.over() == [("RecognizeCompleted", 8545, "menu"), *ended]


async def test_a_callee_does_not_wait_for_music() -> None:
    """A looped prompt and continuous recognition end with the call, and each says so."""

    async def music(connection: Any) -> None:
        await connection.play_media(HELLO, loop=True, operation_context="music")
        await connection.start_continuous_dtmf_recognition(USER, operation_context="keys")

    async with talking("answered", CallConnected=music) as (talk, _):
        closed = [("PlayCanceled", 8508, "music"), ("ContinuousDtmfRecognitionStopped", 0, "keys")]
        assert await talk.over() == [("PlayStarted", 0, "music"), *closed, ("CallDisconnected", 560000, None)]


@pytest.mark.parametrize(
    ("act", "code"),
    [
        pytest.param(lambda connection: connection.play_media([]), "8523", id="nothing"),
        pytest.param(lambda connection: connection.play_media(TextSource(text="")), "8582", id="no words"),
        pytest.param(lambda connection: connection.send_dtmf_tones([DtmfTone.ONE] * 19, USER), "8523", id="tones"),
        pytest.param(
            lambda connection: connection.start_recognizing_media(RecognizeInputType.CHOICES, USER),
            "8523",
            id="choices",
        ),
        pytest.param(
            lambda connection: connection.play_media(
                HELLO, interrupt_call_media_operation=True, operation_callback_url="http://app.example.com/"
            ),
            "8523",
            id="address",
        ),
    ],
)
async def test_what_is_refused_leaves_the_call_as_it_is(act: Any, code: str) -> None:
    """400 with the service's code; what plays plays on."""
    async with talking(ENDLESS) as (talk, connection):
        await connection.play_media(HELLO, operation_context="a")
        with pytest.raises(HttpResponseError) as raised:
            await act(connection)
        assert raised.value.error is not None
        assert (raised.value.status_code, raised.value.error.code) == (400, code)
        await talk.heard("PlayStarted")
        assert [each.step.event for each in talk.acs.calls[0].open.values()] == ["PlayCanceled"]
