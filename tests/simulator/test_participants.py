"""Participants, holds and transfers: which events follow, in which order, where they go, and whom they list.

Order and names are those of https://learn.microsoft.com/azure/communication-services/how-tos/call-automation/actions-for-call-control
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from azure.communication.callautomation import (
    CommunicationUserIdentifier,
    FileSource,
    PhoneNumberIdentifier,
    _generated,
)
from azure.communication.callautomation.aio import CallAutomationClient
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.core.rest import HttpRequest
from hypothesis import given
from hypothesis import strategies as st

from newer_client import newer
from ringback.simulator import SCENARIOS, Simulator, Step
from ringback.simulator import participants as operations
from ringback.simulator.bodies import event_of
from ringback.simulator.outside import Outside
from ringback.simulator.playbook import Playbook
from ringback.simulator.switchboard import Switchboard
from ringback.simulator.turns import Asked, Script, Turn, happened
from ringback.simulator.wire import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from ringback.simulator import Scenario

APP = PhoneNumberIdentifier("+15550100001")
CALLEE = PhoneNumberIdentifier("+15550100201")
OTHER = PhoneNumberIdentifier("+15550100202")
BUSY = PhoneNumberIdentifier("+15550100486")
RINGS = PhoneNumberIdentifier("+15550100180")
STRANGER = CommunicationUserIdentifier(
    "8:acs:5ac0ffee-0000-4000-8000-000000000001_1f0e5c1a-0000-4000-8000-000000000009"
)
URL = "https://app.example.com/cb"
OWN = "https://app.example.com/own"
MUSIC = FileSource("https://app.example.com/music.wav")
TO_OWN: Any = {"operation_callback_url": OWN}


class Talk:
    """A call that is connected with one person, and the events since then."""

    def __init__(self, acs: Simulator, client: CallAutomationClient) -> None:
        self.acs, self.client = acs, client
        self.events: list[tuple[str, dict[str, Any], str]] = []
        self.slept: list[float] = []
        self.came = asyncio.Event()
        self.endless = False
        self.connection: Any = None

    async def call(self, callee: Any = CALLEE) -> Any:
        placed = await self.client.create_call(callee, URL, source_caller_id_number=APP)
        await self.acs.idle()
        self.connection = self.client.get_call_connection(placed.call_connection_id or "")
        self.events.clear()
        self.slept.clear()
        self.came.clear()
        return self.connection

    async def add(self, who: Any, **settings: Any) -> Any:
        added = await self.connection.add_participant(who, source_caller_id_number=APP, **settings)
        await self.acs.idle()
        self.events.clear()
        return added

    async def told(self) -> list[tuple[str, int, str | None]]:
        """The events: name, subcode, operation context."""
        await self.acs.idle()
        return [
            (name, data["resultInformation"]["subCode"], data.get("operationContext")) for name, data, _ in self.events
        ]

    def lists(self) -> list[tuple[int, list[tuple[str, bool, bool]]]]:
        """The number and the participants of each ParticipantsUpdated: who, muted, on hold."""
        return [
            (
                data["sequenceNumber"],
                [(each["identifier"]["rawId"], each["isMuted"], each["isOnHold"]) for each in data["participants"]],
            )
            for name, data, _ in self.events
            if name == "ParticipantsUpdated"
        ]


@asynccontextmanager
async def talking(callee: Any = CALLEE, scenario: Scenario | None = None) -> AsyncGenerator[Talk]:
    loop = asyncio.get_running_loop()

    async def post(uri: str, body: bytes, headers: Mapping[str, str]) -> int:
        [event] = json.loads(body)
        name = event["type"].rpartition(".")[2]
        model = getattr(_generated.models, name, None)
        # The Python SDK has no model of the audio of a hold.
        assert name.startswith("HoldAudio") or model.deserialize(event["data"]).call_connection_id
        talk.events.append((name, event["data"], uri))
        loop.call_soon_threadsafe(talk.came.set)
        return 200

    async def sleep(seconds: float) -> None:
        talk.slept.append(seconds)
        # A phone that rings too long rings until the test is over.
        await asyncio.sleep(3600 if talk.endless and seconds > 1 else 0)

    numbers = {} if scenario is None else {callee.properties["value"]: scenario}
    acs = Simulator("connected", numbers=numbers, post=post, sleep=sleep, latency=(0, 0), speed=1, seed=7)
    async with acs, CallAutomationClient(acs.url, acs.credential, retry_total=0) as client:
        talk = Talk(acs, client)
        await talk.call(callee)
        yield talk


@pytest.fixture
async def talk() -> AsyncGenerator[Talk]:
    async with talking() as each:
        yield each


ALONE = (CALLEE.raw_id, False, False)
UPDATED = ("ParticipantsUpdated", 0, None)


async def test_somebody_is_added(talk: Talk) -> None:
    """The success, then the list of all; the number goes on from the one at the connection; each at its address."""
    added = await talk.connection.add_participant(OTHER, source_caller_id_number=APP, operation_context="a", **TO_OWN)
    assert await talk.told() == [("AddParticipantSucceeded", 0, "a"), UPDATED]
    assert talk.lists() == [(2, [ALONE, (OTHER.raw_id, False, False)])]
    assert [uri for _, _, uri in talk.events] == [OWN, URL]
    assert talk.events[0][1]["participant"]["rawId"] == OTHER.raw_id
    assert (added.operation_context, added.participant.identifier.raw_id) == ("a", OTHER.raw_id)


async def test_somebody_refuses_to_be_added(talk: Talk) -> None:
    """As the scenario of the number says; nobody has come, and the message names the one who did not."""
    await talk.connection.add_participant(BUSY, source_caller_id_number=APP, operation_context="a")
    assert await talk.told() == [("AddParticipantFailed", 560486, "a")]
    assert BUSY.raw_id in talk.events[0][1]["resultInformation"]["message"]
    assert len(talk.acs.calls[0].participants) == 1


@pytest.mark.parametrize(
    ("who", "timeout", "after"), [(RINGS, None, 60.0), (RINGS, 5, 5.0), (CALLEE, 1, 1.0)], ids=["60", "5", "1"]
)
async def test_an_invitation_times_out(talk: Talk, who: Any, timeout: int | None, after: float) -> None:
    """After the seconds of the request, also for somebody who would pick up later."""
    await talk.connection.add_participant(who, source_caller_id_number=APP, invitation_timeout=timeout)
    assert await talk.told() == [("AddParticipantFailed", 10057, None)]
    assert talk.slept == [after]


@pytest.mark.parametrize("timeout", [0, 181])
async def test_an_invitation_has_its_bounds(talk: Talk, timeout: int) -> None:
    """180 seconds at most; a phone number is called from a number."""
    with pytest.raises(HttpResponseError, match="invitationTimeoutInSeconds is not from 1 to 180"):
        await talk.connection.add_participant(OTHER, source_caller_id_number=APP, invitation_timeout=timeout)
    with pytest.raises(HttpResponseError, match="sourceCallerIdNumber is required to add a phone number"):
        await talk.connection.add_participant(OTHER)


async def test_an_invitation_ends_with_the_call() -> None:
    """The person who was invited does not come any more; the call's end is the last event."""
    async with talking() as talk:
        talk.endless = True
        await talk.connection.add_participant(RINGS, source_caller_id_number=APP, operation_context="a", **TO_OWN)
        await talk.connection.hang_up(True)
        assert await talk.told() == [("AddParticipantFailed", 0, "a"), ("CallDisconnected", 7000, None)]
        assert [uri for _, _, uri in talk.events] == [OWN, URL]


async def test_an_invitation_is_canceled() -> None:
    """While the phone rings. Afterwards there is nothing to cancel, which an event says; an unknown id is refused."""
    async with talking() as talk:
        talk.endless = True
        ringing = await talk.connection.add_participant(RINGS, source_caller_id_number=APP)
        for context in ("first", "second"):
            canceled = await talk.connection.cancel_add_participant_operation(
                ringing.invitation_id, operation_context=context
            )
            assert (canceled.invitation_id, canceled.operation_context) == (ringing.invitation_id, context)
            await talk.acs.idle()
        assert await talk.told() == [
            ("CancelAddParticipantSucceeded", 5234, "first"),
            ("CancelAddParticipantFailed", 8522, "second"),
        ]
        message = talk.events[0][1]["resultInformation"]["message"]
        assert message.startswith(f"addParticipants failed for participant {RINGS.raw_id}. ")
        with pytest.raises(ResourceNotFoundError):
            await talk.connection.cancel_add_participant_operation("unheard-of")


async def test_an_invitation_that_was_accepted_cannot_be_canceled(talk: Talk) -> None:
    """The person is in the call and stays there."""
    added = await talk.add(OTHER)
    await talk.connection.cancel_add_participant_operation(added.invitation_id)
    assert await talk.told() == [("CancelAddParticipantFailed", 8522, None)]
    assert len(talk.acs.calls[0].participants) == 2


@newer
async def test_somebody_is_removed(talk: Talk) -> None:
    """Once; the second time nobody is found. A stranger is refused at once."""
    await talk.add(OTHER)
    await talk.connection.remove_participant(OTHER, operation_context="r", **TO_OWN)
    assert await talk.told() == [("RemoveParticipantSucceeded", 0, "r"), UPDATED]
    assert talk.lists() == [(3, [ALONE])]
    await talk.connection.remove_participant(OTHER, operation_context="again")
    assert (await talk.told())[2:] == [("RemoveParticipantFailed", 8522, "again")]
    for act in (talk.connection.remove_participant, talk.connection.get_participant, talk.connection.hold):
        with pytest.raises(ResourceNotFoundError) as raised:
            await act(STRANGER)
        assert raised.value.error is not None
        assert raised.value.error.code == "8522"


async def test_somebody_whose_phone_rings_cannot_be_removed() -> None:
    """The person is not in the call yet."""
    async with talking() as talk:
        talk.endless = True
        await talk.connection.add_participant(RINGS, source_caller_id_number=APP)
        await talk.connection.remove_participant(RINGS)
        async with asyncio.timeout(10):
            await talk.came.wait()
        assert [name for name, _, _ in talk.events] == ["RemoveParticipantFailed"]
        await talk.connection.hang_up(True)


@newer
async def test_somebody_is_muted(talk: Talk) -> None:
    """Which the list says, once; there is no event of the operation."""
    await talk.add(OTHER)
    muted = await talk.connection.mute_participant(OTHER, operation_context="m")
    assert muted.operation_context == "m"
    assert await talk.told() == [UPDATED]
    assert talk.lists() == [(3, [ALONE, (OTHER.raw_id, True, False)])]
    await talk.connection.mute_participant(OTHER)
    assert await talk.told() == [UPDATED]
    with pytest.raises(ResourceNotFoundError):
        await talk.connection.mute_participant(STRANGER)


@newer
async def test_people_move_from_call_to_call(talk: Talk) -> None:
    """Out of the one, into the other, and both lists say so; who is gone is not found."""
    first = talk.connection
    await talk.add(OTHER)
    await talk.add(STRANGER)
    await talk.connection.remove_participant(STRANGER)
    second = await talk.call(PhoneNumberIdentifier("+15550100201"))
    moved = await second.move_participants([OTHER, STRANGER], first._call_connection_id, operation_context="mv")
    assert (moved.from_call, len(moved.participants)) == (first._call_connection_id, 1)
    told = await talk.told()
    here = [each for each, (_, data, _) in zip(told, talk.events, strict=True) if is_of(data, second)]
    there = [each for each, (_, data, _) in zip(told, talk.events, strict=True) if is_of(data, first)]
    assert here == [("MoveParticipantSucceeded", 0, "mv"), UPDATED, ("MoveParticipantFailed", 8522, "mv")]
    assert there == [UPDATED]
    lists = [{who for who, _, _ in people} for _, people in talk.lists()]
    assert sorted(map(len, lists)) == [1, 2]
    assert [len(call.participants) for call in talk.acs.calls] == [1, 2]
    with pytest.raises(ResourceNotFoundError):
        await second.move_participants([BUSY], first._call_connection_id)
    with pytest.raises(ResourceNotFoundError):
        await second.move_participants([OTHER], "unheard-of")
    with pytest.raises(HttpResponseError, match="fromCall is the call itself"):
        await second.move_participants([OTHER], second._call_connection_id)


def is_of(data: Any, connection: Any) -> bool:
    return bool(data["callConnectionId"] == connection._call_connection_id)


# Holds


@newer
async def test_somebody_is_put_on_hold(talk: Talk) -> None:
    """Without audio the list alone says so, and says it once."""
    for _ in range(2):
        await talk.connection.hold(CALLEE)
    for _ in range(2):
        await talk.connection.unhold(CALLEE)
    assert await talk.told() == [UPDATED] * 2
    assert talk.lists() == [(2, [(CALLEE.raw_id, False, True)]), (3, [ALONE])]


@newer
async def test_somebody_on_hold_hears_music(talk: Talk) -> None:
    """From the hold to its end; both events are of the hold, with its context and its address."""
    for _ in range(2):
        await talk.connection.hold(CALLEE, play_source=MUSIC, operation_context="h", **TO_OWN)
    await talk.acs.idle()
    await talk.connection.unhold(CALLEE, operation_context="u")
    started, completed = ("HoldAudioStarted", 0, "h"), ("HoldAudioCompleted", 0, "h")
    assert await talk.told() == [started, UPDATED, completed, UPDATED]
    assert [uri for _, _, uri in talk.events] == [OWN, URL, OWN, URL]


@newer
@pytest.mark.parametrize("end", ["hang_up", "remove_participant", "move_participants"])
async def test_the_music_ends_with_the_person(talk: Talk, end: str) -> None:
    """Whichever way the person goes."""
    connection = talk.connection
    await connection.hold(CALLEE, play_source=MUSIC, operation_context="h")
    await talk.acs.idle()
    if end == "move_participants":
        other = await talk.call(OTHER)
        await other.move_participants([CALLEE], connection._call_connection_id)
    else:
        talk.events.clear()
        await getattr(connection, end)(True if end == "hang_up" else CALLEE)
    await talk.acs.idle()
    names = [name for name, data, _ in talk.events if is_of(data, connection)]
    last = {"hang_up": ["CallDisconnected"], "move_participants": ["ParticipantsUpdated"]}
    assert names == ["HoldAudioCompleted", *last.get(end, ["RemoveParticipantSucceeded", "ParticipantsUpdated"])]


@newer
async def test_nobody_who_is_gone_is_put_on_hold(talk: Talk) -> None:
    """The event of a failed hold, for both directions."""
    await talk.add(OTHER)
    await talk.connection.remove_participant(OTHER)
    await talk.acs.idle()
    talk.events.clear()
    await talk.connection.hold(OTHER, play_source=MUSIC, operation_context="h")
    await talk.acs.idle()
    await talk.connection.unhold(OTHER, operation_context="u")
    assert await talk.told() == [("HoldFailed", 8558, "h"), ("HoldFailed", 8558, "u")]


async def announced(talk: Talk, **content: Any) -> int:
    """The status of an announcement, an operation of preview clients alone."""
    address = f"/calling/callConnections/{talk.connection._call_connection_id}:interruptAudioAndAnnounce"
    request = HttpRequest("POST", f"{talk.acs.url}{address}", params={"api-version": "2026-03-12"}, json=content)
    client: Any = talk.client
    return int((await client._client.send_request(request)).status_code)


@newer
async def test_an_announcement_pauses_the_music(talk: Talk) -> None:
    """For somebody who hears music; for others it is a prompt."""
    sources = [{"kind": "file", "file": {"uri": MUSIC.url}}]
    listener = {"rawId": CALLEE.raw_id}
    played = [("PlayStarted", 0, "p"), ("PlayCompleted", 0, "p")]
    assert await announced(talk, playSources=sources, playTo=[listener], operationContext="p") == 202
    assert await talk.told() == played
    await talk.connection.hold(CALLEE, play_source=MUSIC)
    await talk.acs.idle()
    talk.events.clear()
    assert await announced(talk, playSources=sources, playTo=[listener], operationContext="p") == 202
    assert await talk.told() == [("HoldAudioPaused", 0, "p"), *played, ("HoldAudioResumed", 0, "p")]
    assert await announced(talk, playSources=[], playTo=[listener]) == 400
    assert await announced(talk, playSources=sources, playTo=[{"rawId": STRANGER.raw_id}]) == 404


# Transfers


async def test_a_transfer_ends_the_leg_twice(talk: Talk) -> None:
    """A documented known issue. The operation's own event goes to its own address, the call's end to the call's."""
    result = await talk.connection.transfer_call_to_participant(OTHER, operation_context="move", **TO_OWN)
    assert result.operation_context == "move"
    ended = ("CallDisconnected", 7015, None)
    assert await talk.told() == [("CallTransferAccepted", 0, "move"), ended, ended]
    assert [uri for _, _, uri in talk.events] == [OWN, URL, URL]
    accepted = talk.events[0][1]
    assert (accepted["transferTarget"]["rawId"], accepted["transferee"]["rawId"]) == (OTHER.raw_id, CALLEE.raw_id)


@pytest.mark.parametrize(("target", "subcode"), [(BUSY, 560486), (RINGS, 10004)])
async def test_a_transfer_may_fail(talk: Talk, target: Any, subcode: int) -> None:
    """The target refuses, or does not pick up; the call goes on."""
    await talk.connection.transfer_call_to_participant(target)
    assert await talk.told() == [("CallTransferFailed", subcode, None)]
    assert (await talk.connection.get_call_properties()).call_connection_state == "connected"


async def test_one_of_several_is_transferred(talk: Talk) -> None:
    """The others and the app stay; somebody who is not there cannot be transferred."""
    await talk.add(OTHER)
    target = PhoneNumberIdentifier("+15550100201")
    await talk.connection.transfer_call_to_participant(target, transferee=OTHER, operation_context="move")
    assert await talk.told() == [("CallTransferAccepted", 0, "move"), UPDATED]
    assert talk.lists() == [(3, [ALONE])]
    assert talk.events[0][1]["transferee"]["rawId"] == OTHER.raw_id
    assert (await talk.connection.get_call_properties()).call_connection_state == "connected"
    with pytest.raises(ResourceNotFoundError):
        await talk.connection.transfer_call_to_participant(target, transferee=OTHER)


@newer
async def test_an_app_that_joins_sees_who_is_there(talk: Talk) -> None:
    """Those of the call that it has joined."""
    await talk.add(OTHER)
    await talk.client.connect_call(URL, server_call_id=talk.acs.calls[0].server_call_id)
    assert await talk.told() == [("CallConnected", 0, None), UPDATED]
    assert talk.lists() == [(1, [ALONE, (OTHER.raw_id, False, False)])]


# Failures that a scenario has

FAILURES = ("AddParticipant", "CancelAddParticipant", "RemoveParticipant", "MoveParticipant", "Hold", "CallTransfer")


@newer
async def test_a_scenario_may_let_an_operation_fail() -> None:
    """With the result that it says, once; the next one succeeds, and nothing has changed by the one that failed."""
    results = [Step(event=f"{each}Failed", code=500, subcode=9999) for each in FAILURES]
    good = ("AddParticipantSucceeded", "RemoveParticipantSucceeded", "HoldAudioStarted")
    scenario = replace(SCENARIOS["connected"], name="mine", results=(*results, *(Step(event=event) for event in good)))
    async with talking(PhoneNumberIdentifier("+15550100003"), scenario) as talk:
        callee, connection = PhoneNumberIdentifier("+15550100003"), talk.connection
        acts: list[Callable[[], Awaitable[Any]]] = [
            lambda: connection.add_participant(OTHER, source_caller_id_number=APP),
            lambda: connection.remove_participant(callee),
            lambda: connection.hold(callee),
            lambda: connection.transfer_call_to_participant(OTHER),
            lambda: connection.add_participant(OTHER, source_caller_id_number=APP),
            lambda: connection.hold(callee),
        ]
        for act in acts:
            await act()
            await talk.acs.idle()
        failed = [(f"{each}Failed", 9999, None) for each in ("AddParticipant", "RemoveParticipant", "Hold")]
        transfer = ("CallTransferFailed", 9999, None)
        assert await talk.told() == [*failed, transfer, ("AddParticipantSucceeded", 0, None), UPDATED, UPDATED]
        added = next(iter(talk.acs.calls[0].invitations))
        talk.events.clear()
        await connection.cancel_add_participant_operation(added)
        second = await talk.client.create_call(OTHER, URL, source_caller_id_number=APP)
        await talk.acs.idle()
        await connection.move_participants([OTHER], second.call_connection_id or "")
        told = await talk.told()
        assert [each for each in told if each[1]] == [
            ("CancelAddParticipantFailed", 9999, None),
            ("MoveParticipantFailed", 9999, None),
        ]
        assert [len(call.participants) for call in talk.acs.calls] == [2, 1]


# Any order of operations

PEOPLE = [f"4:+1555010020{number}" for number in range(1, 5)]


def asked(operation: str, who: str, call_id: str) -> Asked:
    target = {"rawId": who}
    content = {
        "participantToAdd": target,
        "participantToRemove": target,
        "targetParticipant": target,
        "targetParticipants": [target],
        "sourceCallerIdNumber": {"value": APP.raw_id},
        "playSourceInfo": {"kind": "file"},
    }
    return Asked(content, "2026-03-12", call_id, action=operation)


ACTS: dict[str, Callable[[Switchboard, Asked], Turn]] = {
    "add": operations.add,
    "remove": operations.remove,
    "mute": operations.mute,
    "hold": operations.hold,
    "unhold": operations.unhold,
}


def attempted(name: str, switchboard: Switchboard, request: Asked) -> Turn | Refused:
    try:
        return ACTS[name](switchboard, request)
    except Refused as refused:
        return refused


@given(st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.sampled_from(PEOPLE)), max_size=30))
def test_each_list_is_the_list_of_that_moment(steps: list[tuple[str, str]]) -> None:
    """Whatever the order: the numbers rise by one, and no list differs from the one before as the events tell it."""
    switchboard = Switchboard(Playbook("connected"), Outside(random=Random(7)))
    script = switchboard.place(SCENARIOS["connected"], "+15550100201", URL)
    model: dict[str, list[bool]] = {}
    number = 0

    def play(script: Script) -> None:
        nonlocal number
        for step in script.steps:
            happened(script, step)
            data = event_of(script, step, switchboard)["data"]
            if step.event == "CallConnected":
                model["4:+15550100201"] = [False, False]
            elif step.event == "AddParticipantSucceeded":
                model[data["participant"]["rawId"]] = [False, False]
            elif step.event == "RemoveParticipantSucceeded":
                del model[data["participant"]["rawId"]]
            elif step.event == "ParticipantsUpdated":
                number += 1
                found = {
                    each["identifier"]["rawId"]: [each["isMuted"], each["isOnHold"]] for each in data["participants"]
                }
                assert (data["sequenceNumber"], found) == (number, model)

    play(script)
    for name, who in steps:
        known = script.call.knows(who)
        turn = attempted(name, switchboard, asked(name, who, script.call.call_connection_id))
        if isinstance(turn, Refused):
            assert (turn.status, turn.code, known and name != "mute") == (404, "8522", False)
            continue
        if who in model:
            model[who][0] |= name == "mute"
            model[who][1] = {"hold": True, "unhold": False}.get(name, model[who][1])
        for following in turn.scripts:
            play(following)


def test_a_step_says_what_it_is() -> None:
    """The step of a participant who did not come closes the invitation, so that the call's end does not report it."""
    late = operations._answered(SCENARIOS["ringing"], {"rawId": "4:+15550100180"}, "invitation-1", 5)
    assert late == (
        Step(
            event="AddParticipantFailed",
            after=5,
            code=408,
            subcode=10057,
            fields={"participant": {"rawId": "4:+15550100180"}},
            closes="invitation-1",
        ),
    )
