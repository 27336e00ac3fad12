"""Every public method of both clients, blocking and aio, does what the table of the code and of the page says."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from listening import Listener
from live_server import serving
from ringback.simulator import SCENARIOS, Simulator
from ringback.simulator.operations import LOCAL, OPERATIONS, Operation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

sdk: Any = pytest.importorskip("azure.communication.callautomation")
if not hasattr(sdk.CallConnectionClient, "move_participants"):
    pytest.skip("this release of the client has not all of the methods", allow_module_level=True)

from azure.communication.callautomation import aio  # noqa: E402 - what the skip is for

# Two of the methods say so.
pytestmark = pytest.mark.filterwarnings("ignore:The method .* is deprecated:DeprecationWarning")

PAGE = Path(__file__).parents[2] / "docs" / "simulator.md"
CLIENTS = ("CallAutomationClient", "CallConnectionClient")
ROWS = [(operation, method) for operation in OPERATIONS for method in operation.methods]
CALLER, CALLEE, OTHER = (sdk.PhoneNumberIdentifier(f"+1555010000{each}") for each in (1, 2, 3))
RINGS = sdk.PhoneNumberIdentifier(SCENARIOS["ringing"].number)
USER = sdk.CommunicationUserIdentifier(
    "8:acs:5ac0ffee-0000-4000-8000-000000000001_1f0e5c1a-0000-4000-8000-000000000001"
)
HELLO = sdk.TextSource(text="Hello.", voice_name="en-US-AvaNeural")
AT_ONCE = tuple(replace(step, after=0.0) for step in SCENARIOS["connected"].steps)
STAYS = replace(SCENARIOS["connected"], name="stays", steps=AT_ONCE, media=0.0)


class Scene:
    """A simulator, an app on a socket, a client of one kind, and a call that is connected."""

    def __init__(self, acs: Simulator, said: list[str], listener: Listener, origin: str, client: Any) -> None:
        self.acs, self.said, self.listener, self.client = acs, said, listener, client
        self.url, self.grid, self.socket = f"{origin}/cb", f"{origin}/grid", f"{origin.replace('http', 'ws')}/ws"
        self.connection: Any = None
        self.other: Any = None
        self.context = self.recording = self.invitation = ""

    async def ask(self, method: str, **given: Any) -> Any:
        """Call the method and read all of its result, as an app would."""
        asked = ASKED[method]
        if isinstance(self.client, sdk.CallAutomationClient):
            return await asyncio.to_thread(lambda: read(asked(self, **given)))
        found = asked(self, **given)
        if isinstance(found, AsyncIterable):
            return [each async for each in found]
        return await found if isinstance(found, Awaitable) else found

    async def connected(self) -> Any:
        placed = await self.ask("create_call")
        await self.acs.idle()
        return self.client.get_call_connection(placed.call_connection_id)

    def own(self) -> tuple[str, ...]:
        """The events that came, but for those of the other call."""
        other = self.other and self.other._call_connection_id
        return tuple(
            event["type"].rpartition(".")[2]
            for event in self.listener.events
            if event["data"]["callConnectionId"] != other
        )

    def answers(self) -> list[tuple[str, int]]:
        """The verb of each request, and the status of its answer."""
        found = [re.fullmatch(r"<- (\w+) .*: (\d+)", line) for line in self.said]
        return [(each[1], int(each[2])) for each in found if each is not None]


def read(found: Any) -> Any:
    return list(found) if isinstance(found, Iterable) else found


def streams(scene: Scene) -> dict[str, Any]:
    where = {"transport_url": scene.socket, "transport_type": "websocket"}
    return {
        "media_streaming": sdk.MediaStreamingOptions(content_type="audio", audio_channel_type="mixed", **where),
        "transcription": sdk.TranscriptionOptions(locale="en-US", start_transcription=False, **where),
        "cognitive_services_endpoint": "https://speech.example.com",
    }


ASKED: dict[str, Callable[..., Any]] = {
    "create_call": lambda s: s.client.create_call(CALLEE, s.url, source_caller_id_number=CALLER, **streams(s)),
    "create_group_call": lambda s: s.client.create_group_call([CALLEE, USER], s.url, source_caller_id_number=CALLER),
    "answer_call": lambda s: s.client.answer_call(s.context, s.url),
    "reject_call": lambda s: s.client.reject_call(s.context),
    "redirect_call": lambda s: s.client.redirect_call(s.context, CALLER),
    "connect_call": lambda s: s.client.connect_call(s.url, server_call_id=s.acs.calls[0].server_call_id),
    "get_call_properties": lambda s: s.connection.get_call_properties(),
    "hang_up": lambda s, everyone: s.connection.hang_up(everyone),
    "transfer_call_to_participant": lambda s: s.connection.transfer_call_to_participant(OTHER),
    "list_participants": lambda s: s.connection.list_participants(),
    "get_participant": lambda s: s.connection.get_participant(CALLEE),
    "add_participant": lambda s, who=OTHER: s.connection.add_participant(who, source_caller_id_number=CALLER),
    "cancel_add_participant_operation": lambda s: s.connection.cancel_add_participant_operation(s.invitation),
    "remove_participant": lambda s: s.connection.remove_participant(CALLEE),
    "mute_participant": lambda s: s.connection.mute_participant(CALLEE),
    "move_participants": lambda s: s.connection.move_participants([CALLEE], s.other._call_connection_id),
    "hold": lambda s: s.connection.hold(CALLEE),
    "unhold": lambda s: s.connection.unhold(CALLEE),
    "play_media": lambda s: s.connection.play_media(HELLO, [CALLEE]),
    "play_media_to_all": lambda s: s.connection.play_media_to_all(HELLO),
    "start_recognizing_media": lambda s: s.connection.start_recognizing_media("speech", CALLEE, play_prompt=HELLO),
    "cancel_all_media_operations": lambda s: s.connection.cancel_all_media_operations(),
    "send_dtmf_tones": lambda s: s.connection.send_dtmf_tones(["one"], CALLEE),
    "start_continuous_dtmf_recognition": lambda s: s.connection.start_continuous_dtmf_recognition(CALLEE),
    "stop_continuous_dtmf_recognition": lambda s: s.connection.stop_continuous_dtmf_recognition(CALLEE),
    "start_media_streaming": lambda s: s.connection.start_media_streaming(),
    "stop_media_streaming": lambda s: s.connection.stop_media_streaming(),
    "start_transcription": lambda s: s.connection.start_transcription(locale="en-US"),
    "stop_transcription": lambda s: s.connection.stop_transcription(),
    "update_transcription": lambda s: s.connection.update_transcription(locale="de-DE"),
    "start_recording": lambda s: s.client.start_recording(
        call_connection_id=s.connection._call_connection_id, recording_state_callback_url=s.url
    ),
    "get_recording_properties": lambda s: s.client.get_recording_properties(s.recording),
    "stop_recording": lambda s: s.client.stop_recording(s.recording),
    "pause_recording": lambda s: s.client.pause_recording(s.recording),
    "resume_recording": lambda s: s.client.resume_recording(s.recording),
}
"""How a test calls each method that sends a request."""


async def an_invitation(scene: Scene) -> None:
    scene.invitation = (await scene.ask("add_participant", who=RINGS)).invitation_id


async def a_recording(scene: Scene) -> None:
    scene.recording = (await scene.ask("start_recording")).recording_id


async def another_call(scene: Scene) -> None:
    scene.other = await scene.connected()


async def a_call_that_comes_in(scene: Scene) -> None:
    scene.context = (await scene.acs.incoming(scene.grid, scenario=STAYS)).context


FIRST: dict[str, tuple[Callable[[Scene], Awaitable[Any]], ...]] = {
    "answer_call": (a_call_that_comes_in,),
    "reject_call": (a_call_that_comes_in,),
    "redirect_call": (a_call_that_comes_in,),
    "cancel_add_participant_operation": (an_invitation,),
    "move_participants": (another_call,),
    "unhold": (lambda s: s.ask("hold"),),
    "stop_continuous_dtmf_recognition": (lambda s: s.ask("start_continuous_dtmf_recognition"),),
    "stop_media_streaming": (lambda s: s.ask("start_media_streaming"),),
    "stop_transcription": (lambda s: s.ask("start_transcription"),),
    "update_transcription": (lambda s: s.ask("start_transcription"),),
    "get_recording_properties": (a_recording,),
    "stop_recording": (a_recording,),
    "pause_recording": (a_recording,),
    "resume_recording": (a_recording, lambda s: s.ask("pause_recording")),
}
"""What has to be before a method makes sense."""


@pytest.fixture(params=["blocking", "aio"])
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    listener, said = Listener(), list[str]()
    async with serving(listener.app, ws="wsproto") as origin:
        acs = Simulator(STAYS, latency=(0, 0), seed=7, speed=1, say=said.append)
        async with acs:
            if request.param == "aio":
                async with aio.CallAutomationClient(acs.url, acs.credential, retry_total=0) as client:
                    yield Scene(acs, said, listener, origin, client)
            else:
                with sdk.CallAutomationClient(acs.url, acs.credential, retry_total=0) as client:
                    yield Scene(acs, said, listener, origin, client)


@pytest.mark.parametrize(("operation", "method"), ROWS, ids=[f"{method}-{each.verb}" for each, method in ROWS])
async def test_a_method_is_answered_as_the_table_says(scene: Scene, operation: Operation, method: str) -> None:
    """One request, its status, and the events in their order; nothing else follows."""
    scene.connection = await scene.connected()
    for prepare in FIRST.get(method, ()):
        await prepare(scene)
        if prepare is not an_invitation:
            await scene.acs.idle()
    scene.listener.events.clear()
    scene.said.clear()
    everyone = {"everyone": operation.verb == "POST"} if method == "hang_up" else {}
    await scene.ask(method, **everyone)
    await scene.acs.idle()
    assert (scene.answers(), scene.own()) == ([(operation.verb, operation.status)], operation.events)


async def test_methods_that_send_no_request(scene: Scene) -> None:
    """They give clients, close them, or refuse the simulator's host."""
    kind, text = type(scene.client), scene.acs.connection_string
    given = [kind.from_connection_string(text), scene.client.get_call_connection("call-1")]
    given.append(type(given[1]).from_connection_string(text, "call-1"))
    assert [type(each).__name__ for each in given] == [CLIENTS[0], CLIENTS[1], CLIENTS[1]]
    for each in given:
        # A blocking client of one call has no close.
        closed = each.close() if hasattr(each, "close") else None
        await (closed if isinstance(closed, Awaitable) else asyncio.sleep(0))
    for method in (scene.client.download_recording, scene.client.delete_recording):
        with pytest.raises(ValueError, match="must use HTTPS"):
            await method(f"{scene.acs.url}/objects/1") if inspect.iscoroutinefunction(method) else method(scene.acs.url)
    assert scene.said == []


def methods_of(client: str) -> set[str]:
    """Of both kinds of a client."""
    return {name for module in (sdk, aio) for name in dir(getattr(module, client)) if not name.startswith("_")}


def test_no_method_is_missing() -> None:
    """Neither from the table nor from these tests; and the table has none that no client has."""
    known = {method for _, method in ROWS} | LOCAL.keys()
    assert methods_of(CLIENTS[0]) | methods_of(CLIENTS[1]) == known
    assert ASKED.keys() == {method for _, method in ROWS}


def table(client: str) -> str:
    """What docs/simulator.md says of a client's methods."""
    lines = [f"| {client} | answer | events, in this order | in other cases |", "|---|---|---|---|"]
    has = methods_of(client)
    for operation in OPERATIONS:
        named = [f"`{method}`" for method in operation.methods if method in has]
        if named:
            request = " (for everyone)" if operation.verb == "POST" and operation.methods == ("hang_up",) else ""
            events = ", ".join(operation.events)
            lines.append(f"| {', '.join(named)}{request} | {operation.status} | {events} | {operation.otherwise} |")
    lines += [f"| `{method}` | no request |  | {does} |" for method, does in LOCAL.items() if method in has]
    return "\n".join(lines)


def test_the_documented_table_is_that_of_the_code() -> None:
    """RINGBACK_WRITE_DOCS=1 writes it anew."""
    before, _, rest = PAGE.read_text("utf-8").partition("<!-- methods -->\n")
    written, _, after = rest.partition("\n<!-- end of methods -->")
    made = "\n\n".join(map(table, CLIENTS))
    if os.environ.get("RINGBACK_WRITE_DOCS"):
        PAGE.write_text(f"{before}<!-- methods -->\n{made}\n<!-- end of methods -->{after}", "utf-8")
    else:
        assert written == made
